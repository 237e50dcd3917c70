#include "single_threaded_blas.h"

int openblas_num_threads_env(void) { return 1; }
