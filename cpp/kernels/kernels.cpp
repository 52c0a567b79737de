// The one unit that is compiled for each instruction set and precision:
//   DSMFAST_ISA   baseline, avx2 or avx512: the namespace of everything here
//   DSMFAST_REAL  float or double
//   Eigen         renamed to Eigen_<set>, so that no inline function of it is shared between sets
#include "kernels/chains/lift.hpp"
#include "kernels/chains/run.hpp"
#include "kernels/model/evaluate.hpp"
#include "kernels/parzen/parzen.hpp"
#include "kernels/random/shuffle.hpp"
#include "kernels/training/train.hpp"

namespace dsmfast::DSMFAST_ISA {

using Real = DSMFAST_REAL;

extern const Kernels<Real> DSMFAST_TABLE;
const Kernels<Real> DSMFAST_TABLE = {evaluate<Real>,
                                     regression<Real>,
                                     train<Real>,
                                     parzen::evaluate<Real>,
                                     chains::run<Real>,
                                     chains::lift<Real>,
                                     chains::counts<Real>,
                                     normals<Real>,
                                     scales<Real>,
                                     gram::cholesky_factor<Real>,
                                     product<Real>,
                                     check_finite<Real>,
                                     shuffle};

}  // namespace dsmfast::DSMFAST_ISA
