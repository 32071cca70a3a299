// A lock file between processes that build in the same checkout.
//
// The holder creates the file exclusively, writes {host, pid} and touches it every two seconds. It is stale when its process
// is gone (same host) or has not touched it for thirty seconds; a stale file is moved aside by rename, which only one waiter
// can do, and checked after the move.
import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';

const HEARTBEAT_MS = 2_000;
const STALE_MS = 30_000;
const POLL_MS = 200;

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

function tryTake(path, content) {
  try {
    const fd = openSync(path, 'wx');
    writeSync(fd, content);
    closeSync(fd);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function look(path) {
  try {
    return { content: readFileSync(path, 'utf8'), age: Date.now() - statSync(path).mtimeMs };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isStale({ content, age }) {
  if (age > STALE_MS) return true;
  const [host, pid] = content.split(' ');
  return host === hostname() && pid !== undefined && !alive(Number(pid));
}

function removeStale(path, seen) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  // Somebody else may have replaced the stale file between our look and our rename: give theirs back.
  if (readFileSync(aside, 'utf8') !== seen.content) {
    try {
      linkSync(aside, path);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
  rmSync(aside, { force: true });
}

// Runs `body` while holding the lock at `path`; says once when it has to wait.
export async function withLock(path, body) {
  const content = `${hostname()} ${process.pid} ${Date.now()}`;
  let said = false;
  while (!tryTake(path, content)) {
    const seen = look(path);
    if (seen && isStale(seen)) {
      removeStale(path, seen);
      continue;
    }
    if (seen && !said)
      console.log(`toolgrad: another process is building (process ${seen.content.split(' ')[1]}); waiting`);
    said = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimesSync(path, now, now);
  }, HEARTBEAT_MS);
  const release = () => rmSync(path, { force: true });
  const interrupted = (signal) => {
    release();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    return await body();
  } finally {
    clearInterval(heartbeat);
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    release();
  }
}
