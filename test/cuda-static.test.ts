/**
 * The static report of the GPU kernels: it finds loops, counts what they do in PTX and in machine code, and its occupancy is that
 * of NVIDIA's own calculator. No GPU and, but for the last, no CUDA toolkit.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { type DeviceFacts, gpuOf, refusal } from '../bench/cuda/device.ts';
import { measuredTable } from '../bench/cuda/tables.ts';
import { architectureOf, architectures, gpus, peakFlops } from '../bench/cuda-static/gpus.ts';
import { mixOf } from '../bench/cuda-static/mix.ts';
import { occupancy } from '../bench/cuda-static/occupancy.ts';
import { innerLoops, mainLoop, modelOf } from '../bench/cuda-static/pipes.ts';
import { loopsOf } from '../bench/cuda-static/program.ts';
import { readPtx } from '../bench/cuda-static/ptx.ts';
import { type PlannedCase, predict } from '../bench/cuda-static/roofline.ts';
import { readSass } from '../bench/cuda-static/sass.ts';
import { packageRoot } from '../lib/package.ts';

const ptx = `
.version 7.4
.target sm_80
.visible .entry nested(
	.param .u64 nested_param_0
)
.maxntid 128, 1, 1
.minnctapersm 2
{
	.reg .pred 	%p<3>;
	.loc	1 10 3
	ld.param.u64 	%rd1, [nested_param_0];
	mov.u32 	%r1, 0;
$L__BB0_1:
	.loc	1 12 5
	ld.global.v4.f32 	{%f1, %f2, %f3, %f4}, [%rd1];
	// begin inline asm
	cp.async.cg.shared.global [%r2], [%rd1], 16, %r3;
	// end inline asm
	// begin inline asm
	cp.async.wait_group 1;
	// end inline asm
$L__BB0_2:
	ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r8];
	mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, {%r4,%r5,%r6,%r7}, {%r9,%r10}, {%f1,%f2,%f3,%f4};
	ex2.approx.ftz.f32 	%f5, %f1;
	st.shared.b16 	[%r2], %rs1;
	shfl.sync.bfly.b32 	%r11|%p2, %r12, 1, 31, -1;
	setp.lt.s32 	%p1, %r1, 4;
	@%p1 bra 	$L__BB0_2;
	bar.sync 	0;
	@%p2 bra 	$L__BB0_1;
	st.global.f32 	[%rd1], %f5;
	ret;
}
	.file	1 "/somewhere/nested.cu"
`;

test('a PTX kernel is read with its block size, its loops and its source lines', (t) => {
  const [kernel, ...rest] = readPtx(ptx);
  t.is(rest.length, 0);
  t.like(kernel!, { entry: 'nested', threads: 128, blocks: 2 });
  t.is(kernel!.instructions.length, 16);
  t.is(kernel!.sources.get(kernel!.instructions[0]!.line), 'nested.cu:10');
  t.is(kernel!.sources.get(kernel!.instructions[2]!.line), 'nested.cu:12');
  const loops = loopsOf(kernel!).sort((a, b) => a.body.length - b.body.length);
  t.deepEqual(
    loops.map(({ body, innermost }) => [body.length, innermost]),
    [
      [7, true],
      [12, false],
    ],
  );
  const inner = mainLoop(kernel!, 'ptx')!;
  t.like(inner, { issue: 7, sharedBytes: 512 + 64, globalBytes: 0 });
  t.like(inner.counts, {
    tensor: 1,
    ldmatrix: 1,
    special: 1,
    'shared store': 1,
    shuffle: 1,
    alu: 1,
    branch: 1,
  });
  const all = mixOf(kernel!.instructions, 'ptx');
  t.like(all.counts, { 'global load': 1, 'async copy': 1, wait: 1, barrier: 1, 'global store': 1 });
  t.is(all.globalBytes, 512 + 512 + 128);
});

// As nvdisasm -c prints it: sections, labels, conditions before an instruction and among a branch's operands.
const sass = `	.target	sm_80
//--------------------- .text.step --------------------------
	.section	.text.step,"ax",@progbits
	.sectioninfo	@"SHI_REGISTERS=40"
	.align	128
        .global         step
step:
.text.step:
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   LDGSTS.E.BYPASS.128 [R2], [R4.64], P0 ;
        /*0020*/                   LDSM.16.MT88.4 R8, [R2] ;
        /*0030*/              @!PT LDS RZ, [RZ] ;
        /*0040*/                   HMMA.16816.F32.BF16 R28, R36.reuse, R40, R28 ;
        /*0050*/                   MUFU.EX2 R5, R6 ;
        /*0060*/                   FFMA R5, R6, R7, R8 ;
        /*0070*/                   ISETP.GE.AND P1, PT, R9, UR4, PT ;
        /*0080*/                   BRA.U UP0, \`(.L_x_2) ;
        /*0090*/                   LDG.E R3, desc[UR6][R4.64] ;
.L_x_2:
        /*00a0*/              @!P1 BRA \`(.L_x_1) ;
        /*00b0*/                   EXIT ;
.L_x_3:
        /*00c0*/                   BRA \`(.L_x_3);
        /*00d0*/                   NOP;
	.section	.nv.info,"",@"SHT_CUDA_INFO"
`;

test('machine code is read with its loops, and an instruction that never happens takes a slot only', (t) => {
  const [kernel] = readSass(sass);
  t.is(kernel!.entry, 'step');
  t.is(kernel!.instructions.length, 14);
  t.is(innerLoops(kernel!, 'sass').length, 1);
  const mix = mainLoop(kernel!, 'sass')!;
  t.like(mix, { issue: 10, sharedBytes: 512 + 512, globalBytes: 512 + 128 });
  t.like(mix.counts, { tensor: 1, ldmatrix: 1, 'async copy': 1, special: 1, fma: 1, alu: 1, branch: 3 });
});

test('the busiest pipe bounds a loop', (t) => {
  // The study of a 128 x 128 x 32 step of four warps: 64 mma, 16 ldmatrix and 8 copies of 512 bytes in 287 slots.
  const base = mixOf([], 'ptx');
  const mix = { ...base, issue: 287, counts: { ...base.counts, tensor: 64 }, sharedBytes: 24 * 512 };
  const of = (sm: number) => modelOf(mix, 4, architectureOf(sm), 'ptx');
  t.deepEqual(of(80).clocks, { issue: 287, tensor: 512, special: 0, shared: 384 });
  t.like(of(80), { bound: 'tensor', shareOfPeak: 1 });
  t.is(Math.round(of(90).clocks.tensor!), 410);
  t.is(of(90).shareOfPeak.toFixed(3), '0.625');
  t.is(of(89).clocks.tensor, 2048);
  t.is(modelOf({ ...mix, issue: 800 }, 4, architectureOf(80), 'ptx').bound, 'issue');
});

test('peaks are those of the data sheets, and a prediction is not faster than the roofline', (t) => {
  t.deepEqual(
    gpus.map((gpu) => Math.round(peakFlops(gpu) / 1e12)),
    [312, 165, 989],
  );
  const base = mixOf([], 'ptx');
  const loop = { ...base, issue: 287, counts: { ...base.counts, tensor: 64 }, sharedBytes: 24 * 512 };
  const item: PlannedCase = {
    ...{ op: 'linear forward', model: 'm', phase: 'prefill', size: '', work: 'gemm' as const },
    ...{ flops: 2 * 4096 ** 3, bytes: 10 * 4096 ** 2, moved: 14 * 4096 ** 2 },
    launches: [{ kernel: 'wide', blocks: 1024, mma: 4096 ** 3 / 2048 }],
  };
  for (const gpu of gpus) {
    const found = predict(item, gpu, () => modelOf(loop, 4, architectureOf(gpu.sm), 'ptx'), null);
    t.true(found.roofline < found.fast && found.fast < found.slow, gpu.name);
    t.is(found.bound, 'loop');
  }
  t.throws(() => predict(item, gpus[0]!, () => null, null), { message: /wide: expected a loop/ });
});

test('a streaming op is bound by the bandwidth, by its instructions, or by having few blocks', (t) => {
  const item = (blocks: number): PlannedCase => ({
    ...{
      op: 'add',
      model: 'm',
      phase: 'training',
      size: '',
      work: 'stream',
      flops: 0,
      bytes: 1e8,
      moved: 1e8,
    },
    launches: [{ kernel: 'add_elements', blocks, mma: 0 }],
  });
  const counted = (use: number, instructionsPerByte: number) =>
    new Map([['add_elements', { part: 1, use, instructionsPerByte }]]);
  const a100 = gpus[0]!;
  const of = (blocks: number, use: number, instructions: number) =>
    predict(item(blocks), a100, () => null, counted(use, instructions));
  t.is(of(10000, 1, 0.01).bound, 'memory');
  t.true(Math.abs(of(10000, 1, 0.01).fast - (1e8 / 2.039e12 / 0.92 + 2e-6)) < 1e-9);
  t.is(of(10, 1, 0.01).bound, 'few blocks');
  t.is(of(10000, 1, 1).bound, 'issue');
  const [whole, half] = [of(10000, 1, 0), of(10000, 0.5, 0)];
  t.true(
    Math.abs((half.fast - 2e-6) / (whole.fast - 2e-6) - 2) < 1e-6,
    'half of each sector is used: twice the bytes',
  );
});

test('only a real GPU is timed, and the sentence says what is wrong otherwise', (t) => {
  const facts = { name: 'NVIDIA H100 80GB HBM3', sm: 90, multiprocessors: 132, memory: 8e10, driver: '12.4' };
  const clocks = { clock_khz: 1980000, memory_clock_khz: 2619000, bus_bits: 5120, l2_bytes: 5e7 };
  const real: DeviceFacts = { ...facts, ...clocks, library: 'libcuda.so.1', simulated: false };
  t.is(refusal(real, false), null);
  t.is(refusal({ ...real, simulated: true }, true), null);
  t.regex(refusal({ ...real, simulated: true }, false)!, /is the simulated device, which has no times/);
  t.regex(refusal(real, true)!, /--simulated: libcuda.so.1 is a real driver/);
  t.is(refusal('no libcuda', false), 'there is no GPU to measure on: no libcuda');
  t.like(gpuOf(real), {
    gpu: { sm: 90, clock: 1.98e9, bandwidth: 3.35e12 },
    source: 'the data sheet of H100',
  });
  const other = gpuOf({ ...real, name: 'NVIDIA L4', sm: 89, memory_clock_khz: 6251000, bus_bits: 192 });
  t.is(Math.round(other.gpu.bandwidth / 1e9), 300);
  t.throws(() => gpuOf({ ...real, name: 'Unknown', memory_clock_khz: 0 }), { message: /add it to bench/ });
});

test('a measured case stands beside its prediction, and one that was left out says why', (t) => {
  const prediction = { roofline: 8e-6, fast: 9e-6, slow: 16e-6, bound: 'memory' as const };
  const item = { op: 'add', model: 'm', phase: 'training', size: 'n 1', work: 'stream' as const };
  const numbers = { flops: 0, bytes: 1e6, moved: 1e6 };
  const rest = { prediction, peak: 1e14, bandwidth: 1e12 };
  const text = measuredTable([
    { item: { ...item, ...numbers, runs: 7, median: 12e-6, best: 11e-6, worst: 20e-6 }, ...rest },
    { item: { ...item, ...numbers, skipped: 'time was up' }, ...rest },
    { item: { ...item, ...numbers, runs: 7, median: 12e-6, cublaslt: 10e-6 }, ...rest },
  ]);
  const [, , first, second, third] = text.split('\n');
  t.is(
    first,
    '| m: add, training | n 1 | 9.0 – 16, memory | 12 (7) | 11 – 20 | 1.00 | 67 % of bandwidth |  |',
  );
  t.is(second, '| m: add, training | n 1 | 9.0 – 16, memory | not measured: time was up |  |  |  |  |');
  t.regex(third!, /\| 10 \(1\.20\) \|$/);
  t.regex(text, /2 of 3 cases were measured/);
});

/** Of docs/cuda-static.md: every kernel with its registers, its shared memory and its blocks on the five targets. */
function published() {
  const rows = readFileSync(join(packageRoot, 'docs', 'cuda-static.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const numbers = (cell: string) => cell.split('/').map(Number);
  const registers = new Map(
    rows.filter((row) => row[2]?.includes('.cu, ')).map((row) => [row[1]!, numbers(row[3]!)]),
  );
  return rows
    .filter((row) => /^\d+ \+ \d+$/.test(row[3] ?? ''))
    .map((row) => {
      const [fixed, dynamic] = row[3]!.split('+').map(Number) as [number, number];
      return {
        ...{ entry: row[1]!, threads: Number(row[2]), fixed, dynamic, blocks: numbers(row[4]!) },
        registers: registers.get(row[1]!)!,
      };
    });
}

test('the published occupancy of every kernel is that of its registers and shared memory', (t) => {
  const kernels = published();
  t.true(kernels.length > 60);
  for (const { entry, threads, fixed, dynamic, blocks, registers } of kernels) {
    const found = architectures.map(
      (architecture, i) =>
        occupancy({ threads, registers: registers[i]!, shared: fixed + dynamic }, architecture).blocks,
    );
    t.deepEqual(found, blocks, entry);
  }
});

/** The folder of cuda_occupancy.h; null without a toolkit. */
function toolkitHeaders(): string | null {
  const nvcc = spawnSync('sh', ['-c', 'command -v nvcc'], { encoding: 'utf8' }).stdout.trim();
  const folders = [
    process.env.CUDA_HOME,
    '/usr/local/cuda',
    nvcc === '' ? undefined : dirname(dirname(nvcc)),
  ];
  const found = folders.find((folder) => folder && existsSync(join(folder, 'include', 'cuda_occupancy.h')));
  return found === undefined ? null : join(found, 'include');
}

test("occupancy agrees with NVIDIA's calculator", (t) => {
  const headers = toolkitHeaders();
  if (headers === null) {
    t.log('skipped: cuda_occupancy.h is in no toolkit here (CUDA_HOME, /usr/local/cuda, beside nvcc)');
    return t.pass();
  }
  const folder = mkdtempSync(join(tmpdir(), 'occupancy-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'occupancy');
  const source = join(packageRoot, 'test', 'support', 'cuda-occupancy.cc');
  const made = spawnSync(process.env.CXX ?? 'c++', ['-isystem', headers, '-o', program, source], {
    encoding: 'utf8',
  });
  t.is(made.status, 0, made.stderr);
  const asked = published().flatMap(({ threads, fixed, dynamic, registers }) =>
    architectures.map((architecture, i) => ({
      architecture,
      threads,
      fixed,
      dynamic,
      registers: registers[i]!,
    })),
  );
  for (const architecture of architectures)
    for (const threads of [32, 64, 96, 128, 256, 384, 512, 1024])
      for (const registers of [16, 24, 33, 40, 64, 65, 96, 128, 168, 200, 255])
        for (const dynamic of [0, 1000, 20000, 48 << 10, 90 << 10, 99 << 10, 160 << 10, 227 << 10])
          asked.push({ architecture, threads, registers, fixed: 256, dynamic });
  const done = spawnSync(program, {
    encoding: 'utf8',
    input: asked
      .map(({ architecture, threads, registers, fixed, dynamic }) =>
        [architecture.sm, threads, registers, fixed, dynamic].join(' '),
      )
      .join('\n'),
  });
  t.is(done.status, 0, done.stderr);
  const theirs = done.stdout.trim().split('\n').map(Number);
  t.is(theirs.length, asked.length);
  const different = asked.flatMap(({ architecture, fixed, dynamic, ...rest }, i) => {
    const ours = occupancy({ ...rest, shared: fixed + dynamic }, architecture).blocks;
    return ours === theirs[i]
      ? []
      : [`sm_${architecture.sm} ${JSON.stringify(rest)} ${fixed} + ${dynamic}: ${ours}, theirs ${theirs[i]}`];
  });
  t.deepEqual(different, []);
  t.log(`${asked.length} kernels and targets`);
});
