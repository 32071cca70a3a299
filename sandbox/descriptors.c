// See descriptors.h.
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kMaxDescriptors = 16 };

int tg_send(int socket, const void* data, size_t size, const int* descriptors, size_t count) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  } control;
  struct iovec part = {.iov_base = (void*)data, .iov_len = size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > kMaxDescriptors) {
    errno = EINVAL;
    return -1;
  }
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)size ? 0 : -1;
}

ssize_t tg_receive(int socket, void* data, size_t size, int* descriptors, size_t count, pid_t* sender, int flags) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct iovec part = {.iov_base = data, .iov_len = size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  // Without room for them the kernel drops descriptors that a program sends unasked.
  message.msg_control = count > 0 || sender != NULL ? control.bytes : NULL;
  message.msg_controllen = message.msg_control == NULL ? 0 : sizeof control;
  for (size_t i = 0; i < count; i++) descriptors[i] = -1;
  if (sender != NULL) *sender = 0;
  ssize_t received;
  do {
    received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -1;
  size_t taken = 0;
  int strange = (message.msg_flags & MSG_TRUNC) != 0;
  for (struct cmsghdr* head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET) continue;
    if (head->cmsg_type == SCM_CREDENTIALS && sender != NULL) {
      struct ucred who;
      memcpy(&who, CMSG_DATA(head), sizeof who);
      *sender = who.pid;
    } else if (head->cmsg_type == SCM_RIGHTS) {
      size_t found = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < found; i++) {
        int descriptor;
        memcpy(&descriptor, CMSG_DATA(head) + i * sizeof(int), sizeof descriptor);
        if (taken < count) {
          descriptors[taken++] = descriptor;
        } else {
          close(descriptor);
          strange = count > 0;
        }
      }
    }
  }
  if (strange) {
    for (size_t i = 0; i < taken; i++) close(descriptors[i]);
    errno = EBADMSG;
    return -1;
  }
  return received;
}

int tg_memory_file(const char* name, const struct tg_bytes* parts, size_t count) {
  const int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  for (size_t i = 0; i < count; i++) {
    const char* from = parts[i].data;
    for (size_t left = parts[i].size; left > 0;) {
      const ssize_t written = write(file, from, left);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) goto failed;
      from += written;
      left -= (size_t)written;
    }
  }
  if (lseek(file, 0, SEEK_SET) != 0) goto failed;
  if (fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) goto failed;
  return file;
failed:;
  const int error = errno;
  close(file);
  errno = error;
  return -1;
}

int tg_close_from(int first) {
  if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0) return 0;
  if (errno != ENOSYS) return -1;
  for (int descriptor = first; descriptor < 65536; descriptor++) close(descriptor);
  return 0;
}
