// Which GEMM shape runs: decided by the sizes and the device, and of no consequence for results.
#pragma once

#include "kernels/gemm_shape.h"
#include "launcher.h"

namespace toolgrad::cuda {

/// Launches `kernel` over a product of rows x columns; Params has tiles_m and tiles_n.
template <class Shape, class Params>
void launch_tiles(Launcher& launcher, const Kernel<Params>& kernel, Params p, int64_t rows, int64_t columns) {
  p.tiles_m = static_cast<int32_t>(ceil_div(rows, Shape::kM));
  p.tiles_n = static_cast<int32_t>(ceil_div(columns, Shape::kN));
  launcher.launch(kernel, {static_cast<int64_t>(p.tiles_m) * p.tiles_n}, p);
}

/// The wide shape does twice the work per byte of shared memory, once it has a tile for every multiprocessor.
template <class Wide, class Medium, class Params>
void launch_shape(Launcher& launcher, const Kernel<Params>& wide, const Kernel<Params>& medium, const Params& p,
                  int64_t rows, int64_t columns) {
  const int64_t wide_tiles = ceil_div(rows, Wide::kM) * ceil_div(columns, Wide::kN);
  if (rows > Medium::kM && columns > Medium::kN && wide_tiles >= launcher.device().multiprocessors)
    launch_tiles<Wide>(launcher, wide, p, rows, columns);
  else
    launch_tiles<Medium>(launcher, medium, p, rows, columns);
}

}  // namespace toolgrad::cuda
