// The boundary between the kernels and everything else.
//
// The kernels are compiled once per instruction set and precision. Only what stands here crosses
// over: plain structs, raw pointers, function pointers. No Eigen, no STL and no Python, because an
// inline function of theirs, compiled for AVX-512 and merged by the linker with its namesakes,
// would crash an older machine.
//
// Sizes, everywhere: B rows of a batch, d features, h hidden units.
#pragma once

#include <cstdint>

namespace dsmfast {

using Index = std::int64_t;

// A strided matrix in memory that the caller owns. Strides count elements.
template <typename T>
struct View {
  T* data;
  Index rows, columns;
  Index row_stride, column_stride;
};

// The tied-weight score model. Arrays are contiguous.
template <typename T>
struct Model {
  const T* W;  // (h, d)
  const T* b;  // (h,)
  const T* c;  // (d,)
  T sigma;
  Index features;  // d
  Index hidden;    // h
};

// What one point is mapped to.
enum class Quantity : int {
  hidden,   // sigmoid(W x + b)                                      (h,)
  energy,   // -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2
  score,    // (W' sigmoid(W x + b) + c - x) / sigma^2               (d,)
  denoise,  // W' sigmoid(W x + b) + c                               (d,)
  decode,   // W' s + c of hidden values s                           (d,)
};

// Independent noise streams under one seed; see kernels/random/philox.hpp for the counter.
enum class Stream : std::uint32_t {
  noise = 0,
  initial = 1,
  shuffle = 2,
  validation = 3,
  scale = 4,  // of the noise's scales
  chain = 5,  // of Markov chains; kernels/chains/run.hpp says what each draw is for
};

// Corruption that overwrites features: each becomes `low` or `high` with probability chance / 2.
template <typename T>
struct Replacement {
  std::uint64_t chance;  // in units of 2^-32; 0: nothing is overwritten
  T low, high;
};

// Noise at several scales: x~ = x + s * epsilon, where a visit is coarse by chance, its s log-uniform
// between sigma and sigma_max then, and sigma otherwise. It weighs (sigma / s)^exponent.
template <typename T>
struct Scales {
  std::uint64_t chance;  // of a coarse visit, in units of 2^-32; 0: all noise is of sigma
  T log_ratio;           // log(sigma_max / sigma)
  T exponent;
};

// Corruption of points: x~ = x + sigma * epsilon, or features overwritten.
template <typename T>
struct Noise {
  T sigma;                     // 0: the points are taken as they are
  Scales<T> scales;            // of Gaussian noise
  Replacement<T> replacement;  // instead of it
  const T* given;              // epsilon (draws, rows, d) contiguous, or null: it is drawn
  std::uint64_t seed;
  std::uint32_t step;  // of the first batch; later batches count on
  Stream stream;
  Index first_row;  // the place of points' row 0 in all of the data, of which they may be a part
  Index draws;      // M >= 1: every row appears M times, each time with its own noise
  bool antithetic;  // draw 2m + 1 is draw 2m with its sign turned; not of noise that is given
};

// What the denoiser is regressed on.
enum class Target : int {
  clean,      // the point before its corruption
  itself,     // the point as the model sees it
  given,      // its row of `targets`
  posterior,  // the mean of the sample given the point: sum_t w_t x_t, w_t ~ N(x~; x_t, sigma^2 I)
};

// The rows that a posterior mean is taken over.
template <typename T>
struct Reference {
  View<const T> sample;  // (N, d)
  const T* weights;      // (N,), or null: 1
  Index points;  // if not 0, so many points instead: the batch and what follows in the order
};

// The curvature of the model's log-density, which implicit score matching adds to the regression:
//   2 variance sum_i v_i + 2 penalty sum_i v_i^2,   v_i = sigma^2 d score_i / d x_i
template <typename T>
struct Curvature {
  T variance;  // sigma^2; 0: no curvature
  T penalty;
};

// Where the regression is worked out.
enum class Path : int {
  explicit_,  // at the points, in d dimensions
  gram,       // from X W' and W W', in h dimensions; not for the posterior, or features overwritten
};

// The regression |D(x~) - t|^2 over points x and targets t, and its curvature: every objective is
// one of these, times 1 / (2 sigma^4). Each visit counts by the weight of its row and of its scale.
template <typename T>
struct Regression {
  View<const T> points;  // (n, d)
  Target target;
  Target coarse_target;    // of coarse visits: clean or posterior
  View<const T> targets;   // (n, d), of Target::given
  Reference<T> reference;  // of Target::posterior
  const T* weights;        // (n,) of the points, or null: 1
  Curvature<T> curvature;  // of implicit score matching
  const Index* order;  // (order_rows,) the points of an epoch in their order; null: 0, 1, 2, ...
  Index order_rows;
  Index first, rows;  // the part of it that is visited
  Noise<T> noise;     // drawn noise is keyed by the row's place in the data
  Path path;
};

// What the Parzen density (1/N) sum_t N(x; x_t, sigma^2 I) of a sample says of points x, with
// exponents e_t = -|x - x_t|^2 / (2 sigma^2) and weights w_t = exp(e_t) / sum_s exp(e_s). Where the
// rows of the sample have weights, exp(e_t) stands for that times its row's.
template <typename T>
struct Posterior {
  T* mean;                // (n, d): sum_t w_t x_t; null: not wanted
  T* score;               // (n, d): (mean - x) / sigma^2; null: not wanted
  double* log_sum;        // (n,): log sum_t exp(e_t)
  double* mean_exponent;  // (n,): sum_t w_t e_t
  double* largest;        // (n,): max_t e_t
};

// A step of a Markov chain. With counts k_j ~ Binomial(n, sigmoid(a_j)) and n + excess = 1 / sigma^2:
enum class Transition : int {
  gibbs,     // x' ~ N(c + sigma^2 W'k, sigma^2 I); where there is an excess, accepted by Metropolis
  shifted,   // the same around c + sigma^2 W'(k + excess * sigmoid(a)), accepted
  mala,      // x' ~ N(x + step_size (D(x) - x), 2 step_size sigma^2 I), accepted
  langevin,  // the same, taken as it comes: its law is not quite the model's
};

// A path from a Gaussian, beta = 0, to the model, beta = 1:
//   log p_beta(x) = (<(1 - beta) c0 + beta c, x> - |x|^2 / 2 + sum softplus(a_beta)) / sigma^2
//   a_beta = beta W x + (1 - beta) b0 + beta b
template <typename T>
struct Annealing {
  const double* beta;  // (steps + 1,): step s goes from beta[s] to beta[s + 1]; null: all are 1
  const T* b0;         // (h,)
  const T* c0;         // (d,)
  double* log_weight;  // (n,), added to: log p of the new beta over that of the old, where steps
                       // begin; null: nobody asks
};

// Chains, each of which is a function of its row alone, and of nothing that others do.
template <typename T>
struct Chains {
  T* x;             // (n, d): where they are, and come to be
  Index chains;     // n
  Index first_row;  // chain i is row first_row + i of the stream
  std::uint64_t seed;
  std::uint32_t first_step;  // of the stream
  Index steps;
  Transition transition;
  Index trials;   // of a count, n >= 1
  double excess;  // of 1 / sigma^2 beyond that; 0: Gibbs steps need no correction
  double step_size;
  bool lower;  // W_jk = 0 for k > j: half of each product is left out
  Annealing<T> annealing;
  const bool* observed;  // (n, d): features that stay as they are; null: none
  double* accepted;      // (n,): steps accepted, added to
  Index thin;            // every so many steps x is kept, (steps / thin) times; 0: never
  T* draws;              // (n, steps / thin, d)
  double* energy;        // (n, steps / thin): of draws, at beta = 1
};

// What `fill` of the kernels reads of a stream.
struct Source {
  std::uint64_t seed;
  Stream stream;
  Index first_row;
};

// Draws y of a model in the directions of its weights, to be lifted to all features.
template <typename T>
struct Lift {
  const T* y;  // (n, r)
  Index draws;
  T sigma;
  Source source;               // of what x has beside y
  const Index* rows;           // (n,) of the stream
  const std::uint32_t* steps;  // (n,)
  Index draw;
  T* x;            // (n, d)
  double* beside;  // (n,): square of what the normals are beside the rows of Q
};

enum class Rule : int { sgd, adam };

struct Optimizer {
  Rule rule;
  double momentum;               // sgd
  bool nesterov;                 // sgd
  double beta1, beta2, epsilon;  // adam
  double weight_decay;           // shrinks W (not b, c) by learning_rate * weight_decay a step
  Index steps_taken;             // for Adam's bias correction
};

// Arrays laid out like the parameters, contiguous: (h, d), (h,), (d,); null: none.
template <typename T>
struct Triple {
  T *W, *b, *c;
};

// Parameters and what the optimizer remembers.
template <typename T>
struct TrainingState {
  Triple<T> parameters;
  Triple<T> first;   // velocity (sgd) or first moment (adam)
  Triple<T> second;  // second moment (adam)
};

// Several machines that take each step together, each by its share of the rows.
template <typename T>
struct Ranks {
  const Index* begins;                         // (steps + 1,): where the share of each step begins
  bool (*sum)(void*, T* values, Index count);  // in place, over all ranks; false: it failed
  void* context;
};

// A run of steps. Step s takes the next `batch` of the rows, at learning rate rates[s].
template <typename T>
struct Steps {
  Index batch;
  Index rows;           // of all ranks
  Index count;          // rows / batch, rounded up
  const double* rates;  // (count,)
  double* sums;         // (count,): becomes the sum of each step that is done
  Index* landed;        // how many of them the state has behind it
  Ranks<T> ranks;       // sum null: there are none
};

enum class Outcome : int {
  finished,
  interrupted,  // the caller asked to stop; a finite state is that after the last whole step
  diverged,     // the sum of the last step, or a parameter after it, is not finite
  out_of_memory,
  bad_input,  // NaN or infinity in row `bad_row`
};

// Working memory that the caller keeps from one run of steps to the next: asking the system for it
// costs as much as a step. A run that finishes leaves it as the next one of the same sizes expects it.
struct KeptMemory {
  void* block;  // from calloc; the sizes it was cut by stand at its beginning
  bool intact;  // false: what it holds is of no use
};

// What the time of a step goes into.
enum class Region : int {
  noise,     // drawing it
  points,    // gathering rows of the data, and corrupting them
  encode,    // H = sigmoid(X~ W' + b)
  decode,    // R = H W + c - T, and its curvature
  backward,  // dA
  gram,      // K = W W' and its Cholesky factor
  project,   // P = Y W'
  core,      // of the gram path, the noise aside
  pairs,     // sums over pairs of hidden units
  gradient,  // dW, db, dc
  update,    // parameters
  wait,      // for the other threads
};
constexpr int regions = 12;
constexpr const char* region_names[regions] = {"noise",    "points",   "encode",  "decode",
                                               "backward", "gram",     "project", "core",
                                               "pairs",    "gradient", "update",  "wait"};

// How to run, and how it went.
struct Execution {
  int threads;
  bool (*interrupted)(void*);  // asked often, by the calling thread only; may be null
  void* context;
  Index bad_row;
  KeptMemory* kept;  // of `train`; may be null
  double* seconds;   // of `train`, (threads, regions), added to; null: not measured
};

template <typename T>
struct Kernels {
  // energy: (n,), of Quantity::energy; out: (n, h) or (n, d), of the others. Contiguous.
  Outcome (*evaluate)(const Model<T>&, Quantity, const View<const T>& x, T* out, double* energy,
                      Execution&);
  // The regression and its curvature, summed over rows and draws; and, where `gradient` is not
  // null, the gradient of scale * (that sum) with respect to (W, b, c).
  Outcome (*regression)(const Model<T>&, const Regression<T>&, double scale, double* sum,
                        const Triple<T>* gradient, Execution&);
  // One pass of minibatch steps on the mean of the same. The state is left as it is until the steps are
  // over, and only overwritten by one that is finite.
  Outcome (*train)(Index features, Index hidden, const TrainingState<T>& state, const Optimizer&,
                   const Regression<T>&, const Steps<T>&, Execution&);
  // weights: (N,) of the sample's rows, or null. own: (n,) the row of the sample that each point is
  // and that is left out, or null.
  Outcome (*parzen)(const View<const T>& x, const View<const T>& sample, const T* weights,
                    const Index* own, double sigma, const Posterior<T>&, Execution&);
  Outcome (*chains)(const Model<T>&, const Chains<T>&, Execution&);
  // Q (r, d) of orthonormal rows is the W of `basis`.
  Outcome (*lift)(const Model<T>& basis, const Lift<T>&, Execution&);
  // out (columns,): counts Binomial(trials, sigmoid(a)) of a chain's row and step; for tests.
  Outcome (*counts)(const Chains<T>&, Index row, const T* a, Index columns, T* out, Execution&);
  // out (rows, columns): standard normals of the stream, at noise.step or at the step of each row.
  Outcome (*normals)(const Noise<T>&, Index draw, const Index* rows, const std::uint32_t* steps,
                     Index n_rows, Index columns, T* out, Execution&);
  // out (rows,): the scales of the noise.
  Outcome (*scales)(const Noise<T>&, Index draw, const Index* rows, Index n_rows, T* out,
                    Execution&);
  // L (h, h), lower triangular: L L' = W W', as the gram path draws its noise by; for tests.
  Outcome (*cholesky)(const Model<T>&, T* L, Execution&);
  // C (m, n) = A (m, k) B (k, n), contiguous: the product under everything, for tests and benches.
  Outcome (*product)(Index m, Index n, Index k, const T* A, const T* B, T* C, Execution&);
  // bad_input where a value is NaN or infinite.
  Outcome (*check_finite)(const View<const T>&, Execution&);
  // order (rows,): the order in which an epoch visits the rows of a window of the data.
  void (*shuffle)(std::uint64_t seed, std::uint32_t epoch, std::uint32_t window, Index rows,
                  Index* order);
};

// The sets a build may contain, the most wanted last.
enum class InstructionSet : int { baseline, avx2, avx512 };

constexpr const char* name_of(InstructionSet set) {
  return set == InstructionSet::avx512 ? "avx512"
         : set == InstructionSet::avx2 ? "avx2"
                                       : "baseline";
}

bool is_built(InstructionSet);      // in this build
bool is_available(InstructionSet);  // built, and the machine has it

// Chosen once, at import.
InstructionSet instruction_set();
void choose(InstructionSet);

// The kernels of the chosen set; T is float or double.
template <typename T>
const Kernels<T>& kernels();

}  // namespace dsmfast
