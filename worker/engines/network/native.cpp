// Kokoro's styled convolutions on a CPU: norm, activation, convolution and residual in one pass.
//
// A convolution of k taps runs as Toom-Cook filtering (Winograd 1980; Lavin & Gray 2016): the taps
// are cut into blocks of TAPS, and per block TILE outputs cost POINTS products instead of
// TILE * TAPS. The blocks share their transformed input, so all that remains is one small matrix
// product per point. A dilated convolution is an ordinary one on every d-th step.
//
// Constants come from native.py with each build: TILE, TAPS, POINTS, EPSILON (of the norm),
// INPUT[POINTS][POINTS] and OUTPUT[TILE][POINTS]. Tensors are float32, (time, channels), contiguous.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <omp.h>
#include <vector>

#if defined(__AVX512F__)
#define LANES 16
#define ROWS 12
#elif defined(__AVX__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 6
#endif
#define COLUMNS (2 * LANES)
// Tiles of one task. Their transformed input and one column block of weights fit a core's L2.
#define TILES 24

typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline vec load(const float *p) { return *(const vec *)p; }
static inline void store(float *p, vec v) { *(vec *)p = v; }
static inline vec all(float x) { return x - vec{}; }

// x + sin(alpha x)^2 / alpha. The sine is a minimax polynomial of degree 11 after reduction
// to [-pi/2, pi/2]; its sign is lost in the square, so whole multiples of pi may go.
static inline vec snake(vec x, vec alpha, vec inverse) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  vec z = x * alpha;
  vec n = (z * 0.318309886f + magic) - magic;
  vec f = z - n * 3.140625f;
  f = f - n * 9.67502593994140625e-4f;
  f = f - n * 1.50995788317e-7f;
  vec q = f * f;
  vec p = q * -2.3889859e-08f + 2.7525562e-06f;
  p = p * q + -0.00019840874f;
  p = p * q + 0.0083333310f;
  p = p * q + -0.16666667f;
  p = p * q + 1.0f;
  vec s = f * p;
  return x + s * s * inverse;
}

enum { PLAIN = 0, LEAKY = 1, SNAKE = 2 };

static inline vec activate(vec y, int64_t activation, float slope, const float *alpha,
                           const float *inverse) {
  if (activation == SNAKE) return snake(y, load(alpha), load(inverse));
  if (activation == LEAKY) return y > 0.0f ? y : y * slope;
  return y;
}

// out[ROWS][COLUMNS] = sum over `blocks` of in[row + block][0..depth) * weights[block][depth][..]
static inline void multiply(const float *in, int64_t stride, const float *weights, int blocks,
                            int64_t depth, float *out) {
  vec sum[ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = vec{};
  for (int b = 0; b < blocks; b++) {
    const float *a = in + b * stride;
    const float *w = weights + b * depth * COLUMNS;
    for (int64_t k = 0; k < depth; k++, w += COLUMNS) {
      vec w0 = load(w), w1 = load(w + LANES);
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; r++) {
        vec x = all(a[r * stride + k]);
        sum[r][0] += x * w0;
        sum[r][1] += x * w1;
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < ROWS; r++) {
    store(out + r * COLUMNS, sum[r][0]);
    store(out + r * COLUMNS + LANES, sum[r][1]);
  }
}

struct Scratch {
  float *data = nullptr;
  size_t size = 0;
  float *need(size_t count) {
    if (count > size) {
      std::free(data);
      size = (count + 1023) / 1024 * 1024;
      data = (float *)std::aligned_alloc(64, size * sizeof(float));
      if (!data) std::abort();
    }
    return data;
  }
};
static thread_local Scratch scratch;

extern "C" {

int64_t kc_columns() { return COLUMNS; }
int64_t kc_lanes() { return LANES; }

// Sums and centred squares of each task's share, merged in a fixed order (Chan et al. 1979), so
// that the result does not depend on the number of threads.
static void merge(const double *parts, int64_t tasks, int64_t channels, float *mean,
                  float *variance) {
  for (int64_t c = 0; c < channels; c++) {
    double n = 0, m = 0, s = 0;
    for (int64_t i = 0; i < tasks; i++) {
      const double *p = parts + i * (2 * channels + 1);
      double k = p[0];
      if (k == 0) continue;
      double d = p[1 + c] - m;
      m += d * k / (n + k);
      s += p[1 + channels + c] + d * d * n * k / (n + k);
      n += k;
    }
    mean[c] = (float)m;
    variance[c] = (float)(s / n);
  }
}

// Mean and biased variance over time of x[steps][channels].
void kc_statistics(const float *x, int64_t steps, int64_t channels, float *mean, float *variance) {
  const int64_t share = 96, tasks = (steps + share - 1) / share;
  std::vector<double> parts(tasks * (2 * channels + 1));
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < tasks; i++) {
    double *p = parts.data() + i * (2 * channels + 1);
    int64_t begin = i * share, end = std::min(steps, begin + share);
    p[0] = (double)(end - begin);
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
      vec sum = {}, squares = {};
      for (int64_t t = begin; t < end; t++) sum += load(x + t * channels + c);
      vec m = sum / (float)(end - begin);
      for (int64_t t = begin; t < end; t++) {
        vec d = load(x + t * channels + c) - m;
        squares += d * d;
      }
      for (int l = 0; l < LANES; l++) {
        p[1 + c + l] = m[l];
        p[1 + channels + c + l] = squares[l];
      }
    }
    for (; c < channels; c++) {
      double sum = 0, squares = 0;
      for (int64_t t = begin; t < end; t++) sum += x[t * channels + c];
      double m = sum / p[0];
      for (int64_t t = begin; t < end; t++)
        squares += (x[t * channels + c] - m) * (x[t * channels + c] - m);
      p[1 + c] = m;
      p[1 + channels + c] = squares;
    }
  }
  merge(parts.data(), tasks, channels, mean, variance);
}

// y = convolution(activation(scale * (x - mean) / sqrt(variance + eps) + shift)) + bias, then
//   residual:    y += residual
//   accumulate:  out += y * factor        (the mean of several blocks)
//   otherwise:   out = y * factor, and mean_out, variance_out describe it if given.
//
// x: (steps, inputs), out: (steps, outputs); outputs is a multiple of COLUMNS.
// mean: null for no norm. slope: of the leaky activation. alpha: of Snake.
// weights: [outputs / COLUMNS][POINTS][blocks][inputs up to whole LANES][COLUMNS], transformed.
void kc_conv(const float *x, int64_t steps, int64_t inputs, int64_t outputs, const float *mean,
             const float *variance, const float *scale, const float *shift, int64_t activation,
             float slope, const float *alpha, const float *weights, const float *bias,
             int64_t taps, int64_t dilation, const float *residual, float factor,
             int64_t accumulate, float *out, float *mean_out, float *variance_out) {
  const int blocks = (int)((taps + TAPS - 1) / TAPS);
  const int64_t reach = (taps - 1) / 2;
  const int64_t depth = (inputs + LANES - 1) / LANES * LANES, whole = inputs / LANES * LANES;
  const int64_t stride = depth + 16;  // rows a power of two apart would share cache sets
  std::vector<float> gain(depth, 1.0f), offset(depth, 0.0f), inverse(depth, 1.0f);
  if (mean)
    for (int64_t c = 0; c < inputs; c++) {
      gain[c] = scale[c] / std::sqrt(variance[c] + EPSILON);
      offset[c] = shift[c] - mean[c] * gain[c];
    }
  if (activation == SNAKE)
    for (int64_t c = 0; c < inputs; c++) inverse[c] = 1.0f / alpha[c];
  // Every d-th step from r on is a sequence of its own.
  struct Task {
    int64_t phase, tile, tiles, length;
  };
  std::vector<Task> work;
  for (int64_t r = 0; r < std::min(dilation, steps); r++) {
    int64_t length = (steps - r + dilation - 1) / dilation, tiles = (length + TILE - 1) / TILE;
    for (int64_t j = 0; j < tiles; j += TILES)
      work.push_back({r, j, std::min<int64_t>(TILES, tiles - j), length});
  }
  const int64_t tasks = (int64_t)work.size();
  // A short input has too few tiles for the cores: then its outputs are shared out as well.
  const int64_t panels = outputs / COLUMNS, wanted = 2 * omp_get_max_threads();
  const int64_t groups = std::max<int64_t>(1, std::min((wanted + tasks - 1) / tasks, panels / 4));
  std::vector<double> parts(mean_out ? tasks * (2 * outputs + 1) : 0);

#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t g = 0; g < tasks * groups; g++) {
    const int64_t i = g / groups;
    const int64_t left = g % groups * panels / groups * COLUMNS;
    const int64_t right = (g % groups + 1) * panels / groups * COLUMNS;
    const Task task = work[i];
    const int64_t windows = (task.tiles + ROWS - 1) / ROWS * ROWS + blocks - 1;
    const int64_t active = windows * TILE + POINTS - TILE;
    float *act = scratch.need(active * depth + POINTS * windows * stride +
                              POINTS * TILES * COLUMNS);
    float *in = act + active * depth;
    float *products = in + POINTS * windows * stride;

    const int64_t first = task.tile * TILE - reach;
    for (int64_t v = 0; v < active; v++) {
      float *to = act + v * depth;
      const int64_t u = first + v;
      if (u < 0 || u >= task.length) {
        std::memset(to, 0, depth * sizeof(float));
        continue;
      }
      const float *from = x + (task.phase + u * dilation) * inputs;
      float tail[LANES] = {};
      if (whole < depth) std::memcpy(tail, from + whole, (inputs - whole) * sizeof(float));
      for (int64_t c = 0; c < depth; c += LANES) {
        vec y = load(c < whole ? from + c : tail) * load(&gain[c]) + load(&offset[c]);
        store(to + c, activate(y, activation, slope, alpha + c, &inverse[c]));
      }
    }
    for (int64_t m = 0; m < windows; m++) {
      const float *from = act + m * TILE * depth;
      for (int64_t c = 0; c < depth; c += LANES) {
        vec z[POINTS];
#pragma GCC unroll 16
        for (int p = 0; p < POINTS; p++) z[p] = load(from + p * depth + c);
#pragma GCC unroll 16
        for (int p = 0; p < POINTS; p++) {
          vec y = {};
#pragma GCC unroll 16
          for (int q = 0; q < POINTS; q++)
            if (INPUT[p][q] != 0.0f) y += z[q] * INPUT[p][q];
          store(in + (p * windows + m) * stride + c, y);
        }
      }
    }
    const int64_t begin = task.tile * TILE;
    const int64_t count = std::min(task.length - begin, task.tiles * TILE);
    double *part = mean_out ? parts.data() + i * (2 * outputs + 1) : nullptr;
    if (part && left == 0) part[0] = (double)count;
    for (int64_t column = left; column < right; column += COLUMNS) {
      const float *w = weights + column * POINTS * blocks * depth;
      for (int p = 0; p < POINTS; p++, w += blocks * depth * COLUMNS)
        for (int64_t j = 0; j < task.tiles; j += ROWS)
          multiply(in + (p * windows + j) * stride, stride, w, blocks, depth,
                   products + (p * TILES + j) * COLUMNS);
      for (int half = 0; half < 2; half++) {
        const int64_t c = column + half * LANES;
        const vec b = load(bias + c);
        vec sum = {}, squares = {};
        const vec pivot = b * factor;  // a value near the mean keeps the squares small
        for (int64_t j = 0; j < task.tiles; j++) {
          vec z[POINTS];
#pragma GCC unroll 16
          for (int p = 0; p < POINTS; p++)
            z[p] = load(products + (p * TILES + j) * COLUMNS + half * LANES);
#pragma GCC unroll 8
          for (int k = 0; k < TILE; k++) {
            if (j * TILE + k >= count) break;
            vec y = b;
#pragma GCC unroll 16
            for (int p = 0; p < POINTS; p++)
              if (OUTPUT[k][p] != 0.0f) y += z[p] * OUTPUT[k][p];
            const int64_t at =
                (task.phase + (begin + j * TILE + k) * dilation) * outputs + c;
            if (residual) y += load(residual + at);
            y *= factor;
            if (accumulate) y += load(out + at);
            store(out + at, y);
            vec d = y - pivot;
            sum += d;
            squares += d * d;
          }
        }
        if (part)
          for (int l = 0; l < LANES; l++) {
            double n = (double)count, s = sum[l];
            part[1 + c + l] = s / n + pivot[l];
            part[1 + outputs + c + l] = std::max(0.0, (double)squares[l] - s * s / n);
          }
      }
    }
  }
  if (mean_out) merge(parts.data(), tasks, outputs, mean_out, variance_out);
}

static inline vec wide(const uint16_t *p) {
  vec y;
  for (int l = 0; l < LANES; l++) {
    uint32_t bits = (uint32_t)p[l] << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    y[l] = f;
  }
  return y;
}

static inline void narrow(uint16_t *p, vec y) {
  for (int l = 0; l < LANES; l++) {
    float f = y[l];
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    p[l] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to nearest, ties to even
  }
}

// out = activation(scale * (x - mean) / sqrt(variance + eps) + shift) in bfloat16, where x is
// float32 or, if half, bfloat16. Channels are a multiple of LANES.
void kc_norm_to_half(const void *x, int64_t half, int64_t steps, int64_t channels,
                     const float *scale, const float *shift, int64_t activation, float slope,
                     const float *alpha, uint16_t *out) {
  const int64_t share = 96, tasks = (steps + share - 1) / share;
  std::vector<double> parts(tasks * (2 * channels + 1));
  std::vector<float> mean(channels), variance(channels), inverse(channels, 1.0f);
  auto at = [&](int64_t t, int64_t c) {
    const int64_t i = t * channels + c;
    return half ? wide((const uint16_t *)x + i) : load((const float *)x + i);
  };
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < tasks; i++) {
    double *p = parts.data() + i * (2 * channels + 1);
    const int64_t begin = i * share, end = std::min(steps, begin + share);
    std::vector<float> sums(2 * channels, 0.0f);
    for (int64_t t = begin; t < end; t++)
      for (int64_t c = 0; c < channels; c += LANES)
        store(&sums[c], load(&sums[c]) + at(t, c));
    p[0] = (double)(end - begin);
    for (int64_t c = 0; c < channels; c++) sums[c] /= (float)(end - begin);
    for (int64_t t = begin; t < end; t++)
      for (int64_t c = 0; c < channels; c += LANES) {
        vec d = at(t, c) - load(&sums[c]);
        store(&sums[channels + c], load(&sums[channels + c]) + d * d);
      }
    for (int64_t c = 0; c < 2 * channels; c++) p[1 + c] = sums[c];
  }
  merge(parts.data(), tasks, channels, mean.data(), variance.data());
  for (int64_t c = 0; c < channels; c++) {
    const float gain = scale[c] / std::sqrt(variance[c] + EPSILON);
    mean[c] = shift[c] - mean[c] * gain;
    variance[c] = gain;
    if (activation == SNAKE) inverse[c] = 1.0f / alpha[c];
  }
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < steps; t++)
    for (int64_t c = 0; c < channels; c += LANES) {
      vec y = at(t, c) * load(&variance[c]) + load(&mean[c]);
      narrow(out + t * channels + c, activate(y, activation, slope, alpha + c, &inverse[c]));
    }
}
}
