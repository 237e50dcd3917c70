// Functions of each number of an array; y may be x, and overlaps it in no other way.
//
// Bounds are in units of the last place (ULP) of the exact result, for every float and at each level. They
// hold for results that are denormal too, where the unit is 2^-149. NaN gives NaN.
#pragma once

#include <stddef.h>

/// e^x, within 1 ULP; infinite above 88.7, 0 below -104.
void apus_exp(ptrdiff_t count, const float *x, float *y);
/// ln x, within 1 ULP; -∞ at 0, NaN below.
void apus_log(ptrdiff_t count, const float *x, float *y);
/// Within 1.5 ULP; ±1 from ±9.1 on.
void apus_tanh(ptrdiff_t count, const float *x, float *y);
/// Within 1.5 ULP; ±1 from ±4 on.
void apus_erf(ptrdiff_t count, const float *x, float *y);
/// 1 / (1 + e^-x), within 2.5 ULP.
void apus_sigmoid(ptrdiff_t count, const float *x, float *y);
/// x (1 + erf(x/√2)) / 2, within 8 ULP, as no digits cancel where it is small. NaN at -∞, as in PyTorch.
void apus_gelu(ptrdiff_t count, const float *x, float *y);
/// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2: within 8 ULP above -1. Below, errors of the polynomial count
/// as often as the exponent is large: within 2^-23 of the exact result, and within 200 ULP above -10. NaN at
/// -∞.
void apus_gelu_tanh(ptrdiff_t count, const float *x, float *y);
