"""PyTorch's side of the models' comparison: torch_peer.py SHAPE DTYPE THREADS, SHAPE a JSON object.

A plain decoder (RMSNorm, RoPE, grouped queries, SwiGLU, tied head) with PyTorch's fused attention and AdamW; random weights.
Requests, one a line: prepare train SEQUENCES LENGTH | prefill LENGTH | decode BATCH PROMPT STEPS; run; release. Every
answer is a line of JSON. Ends with 77 where there is no PyTorch 2.
"""

import json
import resource
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    print(f"PyTorch: not compared with, {error}; --python PATH names an interpreter that has it", file=sys.stderr)
    sys.exit(77)
if int(torch.__version__.split(".")[0]) < 2:
    print(f"PyTorch: not compared with, it is {torch.__version__}; 2.0 or later is needed", file=sys.stderr)
    sys.exit(77)

shape = json.loads(sys.argv[1])
dtype = getattr(torch, sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))
torch.manual_seed(1)
C, H, G, D = (shape[name] for name in ("hiddenSize", "heads", "kvHeads", "headDim"))


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(C))

    def forward(self, x):
        rstd = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + shape["rmsNormEps"])
        return (x.float() * rstd).to(x.dtype) * self.weight


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        width = shape["intermediateSize"]
        self.norm_a, self.norm_m = Norm(), Norm()
        self.qkv = nn.Linear(C, (H + 2 * G) * D, bias=shape["qkvBias"])
        self.out = nn.Linear(H * D, C, bias=False)
        self.gate_up = nn.Linear(C, 2 * width, bias=False)
        self.down = nn.Linear(width, C, bias=False)

    def forward(self, x, cos, sin, cache, start):
        B, T, _ = x.shape
        qkv = self.qkv(self.norm_a(x)).view(B, T, H + 2 * G, D).transpose(1, 2)
        q, k, v = qkv.split((H, G, G), dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            keys, values = cache
            keys[:, :, start : start + T], values[:, :, start : start + T] = k, v
            k, v = keys[:, :, : start + T], values[:, :, : start + T]
        k, v = k.repeat_interleave(H // G, dim=1), v.repeat_interleave(H // G, dim=1)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
        x = x + self.out(attended.transpose(1, 2).reshape(B, T, H * D))
        gate, up = self.gate_up(self.norm_m(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(shape["vocabSize"], C)
        self.layers = nn.ModuleList(Layer() for _ in range(shape["layers"]))
        self.norm = Norm()
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)
        steps = torch.arange(0, D, 2).float() / D
        angles = torch.outer(torch.arange(4096).float(), shape["ropeTheta"] ** -steps)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, caches=None, start=0, last=False):
        x = self.embedding(ids)
        cos, sin = (part[start : start + ids.shape[1]] for part in (self.cos, self.sin))
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, None if caches is None else caches[i], start)
        return F.linear(self.norm(x[:, -1:] if last else x), self.embedding.weight)


def ids_of(rows, columns):
    return torch.randint(0, min(500, shape["vocabSize"]), (rows, columns))


def training(sequences, length):
    model = Decoder()  # fp32 masters; in bf16 the products are autocast
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)
    ids = ids_of(sequences, length)

    def run():
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(ids)
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        if not loss.item() > 0:
            raise ValueError(f"expected a positive loss but found {loss.item()}")
        return time.perf_counter() - start

    return run


def prefill(length):
    model, ids = Decoder().to(dtype), ids_of(1, length)
    caches = new_caches(1, length)

    def run():
        start = time.perf_counter()
        model(ids, caches, last=True)[:, -1].argmax(-1).tolist()
        return time.perf_counter() - start

    return torch.inference_mode()(run)


def new_caches(batch, length):
    return [tuple(torch.zeros(batch, G, length, D, dtype=dtype) for _ in range(2)) for _ in range(shape["layers"])]


def decode(batch, prompt, steps):
    model, ids = Decoder().to(dtype), ids_of(batch, prompt)
    caches = new_caches(batch, prompt + steps)

    def run():
        token = model(ids, caches, last=True)[:, -1:].argmax(-1)
        start = time.perf_counter()
        for i in range(steps):
            token = model(token, caches, start=prompt + i)[:, -1:].argmax(-1)
            token.tolist()
        return (time.perf_counter() - start) / steps

    return torch.inference_mode()(run)


kinds = {"train": training, "prefill": prefill, "decode": decode}
run = None


def answer(line):
    global run
    verb, *words = line.split()
    if verb == "prepare":
        run = kinds[words[0]](*map(int, words[1:]))
        run()
    elif verb == "run":
        seconds = run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": seconds, "peak": peak}
    elif verb == "release":
        run = None
    else:
        raise ValueError(f"expected prepare, run or release but received {line}")
    return {}


print(json.dumps({"name": "PyTorch", "detail": f"{torch.__version__}, {torch.get_num_threads()} threads"}), flush=True)
for line in sys.stdin:
    try:
        said = answer(line)
    except Exception as error:  # the driver decides what a failure means
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
