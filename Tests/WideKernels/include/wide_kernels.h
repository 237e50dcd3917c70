// The kernels of AVX-512's width, compiled for any processor, so that tests run their source where there is
// no AVX-512.
#pragma once

/// Makes the calls of CApusKernels use them, until `apus_kernels_limit` is called.
void use_wide_kernels(void);
