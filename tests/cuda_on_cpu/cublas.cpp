// libcublas of the stand-in: matrix products on the CPU, by OpenBLAS.

#include <cblas.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#define BLAS(name) scipy_##name  // how the OpenBLAS of the Python wheel names its functions

using S = float;
using D = double;
using C = std::complex<float>;
using Z = std::complex<double>;
using half = _Float16;

enum { SUCCESS = 0, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, C_32F = 4, C_64F = 5 };
enum { COMPUTE_16F = 64, COMPUTE_16F_PEDANTIC = 65, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, TF32_MATH = 3 };

struct Context {
    void* stream = nullptr;
    int pointer_mode = 0, math_mode = 0;
};

extern "C" {
int cublasCreate_v2(Context** context) {
    // NumPy's own OpenBLAS has a thread for each core already; and so the rounding is the same on any machine.
    BLAS(openblas_set_num_threads)(1);
    *context = new Context;
    return SUCCESS;
}
int cublasDestroy_v2(Context* context) {
    delete context;
    return SUCCESS;
}
int cublasGetVersion_v2(Context*, int* version) {
    *version = CUDA_MAJOR * 10000;
    return SUCCESS;
}
int cublasSetStream_v2(Context* context, void* stream) {
    context->stream = stream;
    return SUCCESS;
}
int cublasGetStream_v2(Context* context, void** stream) {
    *stream = context->stream;
    return SUCCESS;
}
int cublasSetPointerMode_v2(Context* context, int mode) {
    context->pointer_mode = mode;  // told, and not needed: the host can read every pointer
    return SUCCESS;
}
int cublasGetPointerMode_v2(Context* context, int* mode) {
    *mode = context->pointer_mode;
    return SUCCESS;
}
int cublasSetMathMode(Context* context, int mode) {
    context->math_mode = mode;
    return SUCCESS;
}
int cublasGetMathMode(Context* context, int* mode) {
    *mode = context->math_mode;
    return SUCCESS;
}
}

// ------------------------------------------------------------------------------------------------------ one product

struct Shape {
    int ta, tb, m, n, k, lda, ldb, ldc;  // how A and B are taken, the sizes, the leading dimensions
    int a_rows() const { return ta ? k : m; }
    int a_columns() const { return ta ? m : k; }
    int b_rows() const { return tb ? n : k; }
    int b_columns() const { return tb ? k : n; }
};

static CBLAS_TRANSPOSE transposed(int operation) {
    return operation == 0 ? CblasNoTrans : operation == 1 ? CblasTrans : CblasConjTrans;
}

template <class T>
static void gemm(const Shape& s, T alpha, const T* A, const T* B, T beta, T* R) {
    auto call = [&](auto function, auto a, auto b) {
        function(CblasColMajor, transposed(s.ta), transposed(s.tb), s.m, s.n, s.k, a, A, s.lda, B, s.ldb, b, R, s.ldc);
    };
    if constexpr (std::is_same_v<T, S>) call(BLAS(cblas_sgemm), alpha, beta);
    if constexpr (std::is_same_v<T, D>) call(BLAS(cblas_dgemm), alpha, beta);
    if constexpr (std::is_same_v<T, C>) call(BLAS(cblas_cgemm), &alpha, &beta);
    if constexpr (std::is_same_v<T, Z>) call(BLAS(cblas_zgemm), &alpha, &beta);
}

// A float32 with 10 bits of mantissa, as tensor cores take it.
static float tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (std::isfinite(x)) bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// The used part of a column-major matrix as float32, each element converted.
template <class T, class F>
static std::vector<float> converted(const T* A, int lda, int rows, int columns, F convert) {
    std::vector<float> copy(size_t(lda) * columns);
    for (int j = 0; j < columns; j++)
        for (int i = 0; i < rows; i++) copy[size_t(j) * lda + i] = convert(A[size_t(j) * lda + i]);
    return copy;
}

// The product of factors that are converted to float32 before.
template <class T, class F>
static void float_gemm(const Shape& s, float alpha, const T* A, const T* B, float beta, float* R, F convert) {
    auto a = converted(A, s.lda, s.a_rows(), s.a_columns(), convert);
    auto b = converted(B, s.ldb, s.b_rows(), s.b_columns(), convert);
    gemm(s, alpha, a.data(), b.data(), beta, R);
}

template <class T>
static void product(const Context* context, const Shape& s, T alpha, const T* A, const T* B, T beta, T* R) {
    if constexpr (std::is_same_v<T, S>)
        if (context->math_mode == TF32_MATH) return float_gemm(s, alpha, A, B, beta, R, tf32);
    gemm(s, alpha, A, B, beta, R);
}

// Factors in float16, the result in float16 or float32.
template <class T>
static void half_product(const Shape& s, float alpha, const half* A, const half* B, float beta, T* R) {
    auto widen = [](auto x) { return float(x); };
    auto sums = beta ? converted(R, s.ldc, s.m, s.n, widen) : std::vector<float>(size_t(s.ldc) * s.n);
    float_gemm(s, alpha, A, B, beta, sums.data(), widen);
    for (int j = 0; j < s.n; j++)
        for (int i = 0; i < s.m; i++) R[size_t(j) * s.ldc + i] = T(sums[size_t(j) * s.ldc + i]);
}

// ---------------------------------------------------------------------------------------- products of types by name

// A matrix, or several with as many elements from one to the next.
template <class Pointer>
struct Matrices {
    Pointer pointer;
    int type;
    long long stride;
    template <class T>
    auto at(int i) const {
        using Element = std::conditional_t<std::is_const_v<std::remove_pointer_t<Pointer>>, const T, T>;
        return static_cast<Element*>(pointer) + i * stride;
    }
};

static int gemm_ex(const Context* context, const Shape& s, const void* alpha, Matrices<const void*> A,
                   Matrices<const void*> B, const void* beta, Matrices<void*> R, int count, int compute) {
    Context here = *context;
    if (compute == COMPUTE_32F_FAST_TF32) here.math_mode = TF32_MATH;
    auto run = [&](auto type) {
        using T = decltype(type);
        for (int i = 0; i < count; i++)
            product(&here, s, *static_cast<const T*>(alpha), A.at<T>(i), B.at<T>(i), *static_cast<const T*>(beta),
                    R.at<T>(i));
        return SUCCESS;
    };
    auto run_half = [&](auto type) {
        bool half_scalars = compute == COMPUTE_16F || compute == COMPUTE_16F_PEDANTIC;
        auto scalar = [&](const void* x) {
            return half_scalars ? float(*static_cast<const half*>(x)) : *static_cast<const float*>(x);
        };
        for (int i = 0; i < count; i++)
            half_product(s, scalar(alpha), A.at<half>(i), B.at<half>(i), scalar(beta), R.at<decltype(type)>(i));
        return SUCCESS;
    };
    if (A.type != B.type) return NOT_SUPPORTED;
    if (A.type == R_32F && R.type == R_32F) return run(S());
    if (A.type == R_64F && R.type == R_64F) return run(D());
    if (A.type == C_32F && R.type == C_32F) return run(C());
    if (A.type == C_64F && R.type == C_64F) return run(Z());
    if (A.type == R_16F && R.type == R_16F) return run_half(half());
    if (A.type == R_16F && R.type == R_32F) return run_half(S());
    return NOT_SUPPORTED;
}

extern "C" {
int cublasGemmEx(Context* context, int ta, int tb, int m, int n, int k, const void* alpha, const void* A, int a_type,
                 int lda, const void* B, int b_type, int ldb, const void* beta, void* R, int r_type, int ldc,
                 int compute, int) {
    return gemm_ex(context, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, {A, a_type, 0}, {B, b_type, 0}, beta,
                   {R, r_type, 0}, 1, compute);
}
int cublasSgemmEx(Context* context, int ta, int tb, int m, int n, int k, const float* alpha, const void* A, int a_type,
                  int lda, const void* B, int b_type, int ldb, const float* beta, void* R, int r_type, int ldc) {
    return gemm_ex(context, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, {A, a_type, 0}, {B, b_type, 0}, beta,
                   {R, r_type, 0}, 1, COMPUTE_32F);
}
int cublasGemmStridedBatchedEx(Context* context, int ta, int tb, int m, int n, int k, const void* alpha, const void* A,
                               int a_type, int lda, long long sa, const void* B, int b_type, int ldb, long long sb,
                               const void* beta, void* R, int r_type, int ldc, long long sr, int count, int compute,
                               int) {
    return gemm_ex(context, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, {A, a_type, sa}, {B, b_type, sb}, beta,
                   {R, r_type, sr}, count, compute);
}
}

// ------------------------------------------------------------------------------ products whose name tells the type

#define GEMM(T)                                                                                                        \
    extern "C" int cublas##T##gemm_v2(Context* context, int ta, int tb, int m, int n, int k, const T* alpha,           \
                                      const T* A, int lda, const T* B, int ldb, const T* beta, T* R, int ldc) {        \
        product(context, {ta, tb, m, n, k, lda, ldb, ldc}, *alpha, A, B, *beta, R);                                    \
        return SUCCESS;                                                                                                \
    }                                                                                                                  \
    extern "C" int cublas##T##gemmStridedBatched(                                                                      \
        Context* context, int ta, int tb, int m, int n, int k, const T* alpha, const T* A, int lda, long long sa,      \
        const T* B, int ldb, long long sb, const T* beta, T* R, int ldc, long long sr, int count) {                    \
        for (int i = 0; i < count; i++)                                                                                \
            product(context, {ta, tb, m, n, k, lda, ldb, ldc}, *alpha, A + i * sa, B + i * sb, *beta, R + i * sr);     \
        return SUCCESS;                                                                                                \
    }                                                                                                                  \
    extern "C" int cublas##T##gemmBatched(Context* context, int ta, int tb, int m, int n, int k, const T* alpha,       \
                                          const T* const A[], int lda, const T* const B[], int ldb, const T* beta,     \
                                          T* const R[], int ldc, int count) {                                          \
        for (int i = 0; i < count; i++)                                                                                \
            product(context, {ta, tb, m, n, k, lda, ldb, ldc}, *alpha, A[i], B[i], *beta, R[i]);                       \
        return SUCCESS;                                                                                                \
    }
GEMM(S)
GEMM(D)
GEMM(C)
GEMM(Z)

// ---------------------------------------------- what CuPy's module links against, and its arrays and @ do not call

#define MISSING(name) \
    extern "C" int cublas##name() { return NOT_SUPPORTED; }
#define MISSING_REAL(name) MISSING(S##name) MISSING(D##name)
#define MISSING_COMPLEX(name) MISSING(C##name) MISSING(Z##name)
#define MISSING_ALL(name) MISSING_REAL(name) MISSING_COMPLEX(name)
MISSING_ALL(axpy_v2)
MISSING_ALL(dgmm)
MISSING_ALL(geam)
MISSING_ALL(gemv_v2)
MISSING_ALL(getrfBatched)
MISSING_ALL(getriBatched)
MISSING_ALL(getrsBatched)
MISSING_ALL(scal_v2)
MISSING_ALL(syrk_v2)
MISSING_ALL(trsmBatched)
MISSING_ALL(trsm_v2)
MISSING_REAL(asum_v2)
MISSING_REAL(dot_v2)
MISSING_REAL(ger_v2)
MISSING_REAL(nrm2_v2)
MISSING_REAL(sbmv_v2)
MISSING_REAL(tpttr)
MISSING_REAL(trttp)
MISSING_COMPLEX(dotc_v2)
MISSING_COMPLEX(dotu_v2)
MISSING_COMPLEX(gerc_v2)
MISSING_COMPLEX(geru_v2)
MISSING(Csscal_v2)
MISSING(Zdscal_v2)
MISSING(Scasum_v2)
MISSING(Dzasum_v2)
MISSING(Scnrm2_v2)
MISSING(Dznrm2_v2)
MISSING(Isamax_v2)
MISSING(Idamax_v2)
MISSING(Icamax_v2)
MISSING(Izamax_v2)
MISSING(Isamin_v2)
MISSING(Idamin_v2)
MISSING(Icamin_v2)
MISSING(Izamin_v2)
