/** Devices by name, where there is no GPU; what needs one is in test/cuda. */
import test from 'ava';
import { Device, type DeviceName } from '../lib/model/device.ts';
import { createModel } from '../lib/model/model.ts';
import { tinyConfigs } from './support/tiny-models.ts';

// The addon reads the variable at each attempt; nothing is kept of one that failed.
test.before(() => {
  process.env.TOOLGRAD_LIBCUDA = '/nowhere/libcuda.so.1';
});

test.serial('auto is the CPU where no driver can be loaded, and says why', async (t) => {
  const device = await Device.open('auto');
  t.is(device.kind, 'cpu');
  t.is(device.ordinal, null);
  t.regex(device.description, /^cpu; no GPU can be used: .*(\/nowhere\/libcuda\.so\.1|no CUDA kernels)/);
});

test.serial('a GPU that is named and cannot be used is ERR_NO_CUDA', async (t) => {
  await t.throwsAsync(Device.open('cuda:1'), { code: 'ERR_NO_CUDA' });
  await t.throwsAsync(createModel(tinyConfigs.qwen2, { device: 'cuda' }), { code: 'ERR_NO_CUDA' });
});

test.serial('a device that is none is refused by name and type', async (t) => {
  const message = 'Expected "auto", "cpu", "cuda" or "cuda:<number>" for device but received "gpu"';
  await t.throwsAsync(Device.open('gpu' as DeviceName), { instanceOf: RangeError, message });
  for (const wrong of [5, {}, null, { kind: 'tpu' }])
    await t.throwsAsync(createModel(tinyConfigs.qwen2, { device: wrong as unknown as DeviceName }), {
      instanceOf: TypeError,
      message: `Expected string for device but received ${typeof wrong}`,
    });
});

test.serial('cublasLt serves GPUs only, and is named rightly', async (t) => {
  await t.throwsAsync(createModel(tinyConfigs.qwen2, { device: 'cpu', cublaslt: 'gradients' }), {
    code: 'ERR_NO_CUBLASLT',
    message: 'createModel: Expected a GPU for cublasLt but the model lies on the CPU',
  });
  await t.throwsAsync(createModel(tinyConfigs.qwen2, { device: 'cpu', cublaslt: 'some' as 'all' }), {
    instanceOf: RangeError,
    message: /one of none, gradients, all for cublaslt but received "some"/,
  });
  await t.throwsAsync(createModel(tinyConfigs.qwen2, { device: 'cpu', cublaslt: 'none', cublasltRows: 0 }), {
    instanceOf: RangeError,
    message: /cublasltRows/,
  });
  using model = await createModel(tinyConfigs.qwen2, { device: 'cpu', cublaslt: 'none', cublasltRows: 1 });
  t.true(model.parameterNames.length > 0);
});

test.serial('TOOLGRAD_DEVICE is the device when none is named', async (t) => {
  process.env.TOOLGRAD_DEVICE = 'cuda:0';
  try {
    await t.throwsAsync(createModel(tinyConfigs.qwen2), { code: 'ERR_NO_CUDA' });
    process.env.TOOLGRAD_DEVICE = 'gpu';
    await t.throwsAsync(createModel(tinyConfigs.qwen2), {
      instanceOf: RangeError,
      message: /for the variable TOOLGRAD_DEVICE but received "gpu"$/,
    });
  } finally {
    delete process.env.TOOLGRAD_DEVICE;
  }
  using model = await createModel(tinyConfigs.qwen2, { device: await Device.open('cpu') });
  t.not(model.isa, 'cuda');
});
