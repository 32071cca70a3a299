// All parts in one file: the headers of others are long and are read once.
#include "arithmetic.cu"
#include "blocks.cu"
#include "calls.cu"
#include "cooperative.cu"
#include "device_wide.cu"
#include "matrices.cu"
#include "pipelines.cu"
