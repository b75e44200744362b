// Where a kernel finds which thread it is: in variables of the preloaded library, so that access is cheap.
#pragma once

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

enum { STANDIN_MOST_THREADS = 1024 };  // of a block

#define STANDIN_TLS extern __thread __attribute__((tls_model("initial-exec")))
extern "C" {
STANDIN_TLS uint3 threadIdx, blockIdx;
STANDIN_TLS dim3 blockDim, gridDim;
STANDIN_TLS void* standin_shared;
STANDIN_TLS char standin_exchange[STANDIN_MOST_THREADS][16];
void standin_sync_block();
void standin_sync_warp();
}
