// OpenBLAS starts a thread for each processor in its library constructor, before main; Apus computes calls side by side
// and wants none. The constructor asks this function of its own for the setting of OPENBLAS_NUM_THREADS
// (driver/others/blas_server.c and memory.c of OpenBLAS 0.3); a program's definition comes before a library's, so the
// answer is one thread, whatever the environment says, and nothing has to be started twice.
#pragma once

int openblas_num_threads_env(void);
