/* Two C versions of the uav_isac model, the yardstick of benchmarks/speed/uav_isac.py.
 *
 * direct:  the loop one writes first: rows, users, UAVs; the compiler vectorizes what it can.
 * blocked: arranged like the numba kernel: BLOCK rows side by side, one logarithm for several users.
 *
 * Both compute utility, error bound and all constraints. c[] holds the constants in the order of
 * optisolve.problems.uav_isac.instance.pack.
 */
#include <math.h>

#define MAX_UAVS 64
#define BLOCK 32

static void constraints(const double *x, long M, const double *c, double *g) {
  double total = 0.0;
  for (long m = 0; m < M; m++) {
    total += x[3 * m + 2];
    for (long n = m + 1; n < M; n++) {
      const double dx = x[3 * m] - x[3 * n], dy = x[3 * m + 1] - x[3 * n + 1];
      *g++ = (c[4] - sqrt(dx * dx + dy * dy)) / c[4];
    }
  }
  *g = (total - c[5]) / c[5];
}

void direct(const double *X, const double *users, const double *c, long n, long M, long K, double *F, double *G) {
  const long k_g = M * (M - 1) / 2 + 1;
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n; i++) {
    const double *x = X + i * 3 * M;
    long load[MAX_UAVS] = {0};
    double utility = c[6], error = 0.0;
    for (long k = 0; k < K; k++) {
      double dx[MAX_UAVS], dy[MAX_UAVS], w[MAX_UAVS], best = 0.0, others = c[1], trace = 0.0, det = 0.0;
      long serving = 0;
      for (long m = 0; m < M; m++) {
        dx[m] = x[3 * m] - users[2 * k];
        dy[m] = x[3 * m + 1] - users[2 * k + 1];
        const double ground2 = dx[m] * dx[m] + dy[m] * dy[m], path = 1.0 / (ground2 + c[0]), r = x[3 * m + 2] * path;
        w[m] = path * path * (c[2] * r + 8.0);
        trace += w[m] * ground2;
        for (long j = 0; j < m; j++) {
          const double cross = dx[m] * dy[j] - dx[j] * dy[m];
          det += w[m] * w[j] * cross * cross;
        }
        if (r > best) {
          others += best;
          best = r;
          serving = m;
        } else {
          others += r;
        }
      }
      load[serving]++;
      utility += log(log1p(best / others));
      error += sqrt((2.0 * c[3] + trace) / (c[3] * c[3] + c[3] * trace + det));
    }
    for (long m = 0; m < M; m++) utility -= c[12 + load[m]];
    F[2 * i] = utility;
    F[2 * i + 1] = error / K;
    constraints(x, M, c, G + i * k_g);
  }
}

void blocked(const double *X, const double *users, const double *c, long n, long M, long K, double *F, double *G) {
  const long k_g = M * (M - 1) / 2 + 1, per_log = (long)c[7];
#pragma omp parallel for schedule(static)
  for (long first = 0; first < n; first += BLOCK) {
    const long rows = n - first < BLOCK ? n - first : BLOCK;
    double x[MAX_UAVS][BLOCK], y[MAX_UAVS][BLOCK], p[MAX_UAVS][BLOCK], w[MAX_UAVS][BLOCK], load[MAX_UAVS][BLOCK];
    double product[BLOCK], utility[BLOCK], error[BLOCK];
    for (long i = 0; i < rows; i++) {
      const double *row = X + (first + i) * 3 * M;
      for (long m = 0; m < M; m++) {
        x[m][i] = row[3 * m];
        y[m][i] = row[3 * m + 1];
        p[m][i] = row[3 * m + 2];
        load[m][i] = 0.0;
      }
      product[i] = 1.0;
      utility[i] = c[6];
      error[i] = 0.0;
    }
    for (long k = 0; k < K; k++) {
      const double gx = users[2 * k], gy = users[2 * k + 1];
      double best[BLOCK], others[BLOCK], serving[BLOCK], trace[BLOCK], det[BLOCK];
      for (long i = 0; i < rows; i++) {
        best[i] = trace[i] = det[i] = serving[i] = 0.0;
        others[i] = c[1];
      }
      for (long m = 0; m < M; m++) {
        for (long i = 0; i < rows; i++) {
          const double dx = x[m][i] - gx, dy = y[m][i] - gy, ground2 = dx * dx + dy * dy, path = 1.0 / (ground2 + c[0]);
          const double r = p[m][i] * path, top = best[i];
          w[m][i] = path * path * (c[2] * r + 8.0);
          trace[i] += w[m][i] * ground2;
          others[i] += r > top ? top : r;
          best[i] = r > top ? r : top;
          serving[i] = r > top ? (double)m : serving[i];
        }
        for (long j = 0; j < m; j++)
          for (long i = 0; i < rows; i++) {
            const double cross = (x[m][i] - gx) * (y[j][i] - gy) - (x[j][i] - gx) * (y[m][i] - gy);
            det[i] += w[m][i] * w[j][i] * cross * cross;
          }
      }
      for (long i = 0; i < rows; i++) {
        product[i] *= log1p(best[i] / others[i]);
        error[i] += sqrt((2.0 * c[3] + trace[i]) / (c[3] * c[3] + c[3] * trace[i] + det[i]));
      }
      for (long m = 0; m < M; m++)
        for (long i = 0; i < rows; i++) load[m][i] += serving[i] == (double)m ? 1.0 : 0.0;
      if ((k + 1) % per_log == 0 || k + 1 == K)
        for (long i = 0; i < rows; i++) {
          utility[i] += log(product[i]);
          product[i] = 1.0;
        }
    }
    for (long i = 0; i < rows; i++) {
      for (long m = 0; m < M; m++) utility[i] -= c[12 + (long)load[m][i]];
      F[2 * (first + i)] = utility[i];
      F[2 * (first + i) + 1] = error[i] / K;
      constraints(X + (first + i) * 3 * M, M, c, G + (first + i) * k_g);
    }
  }
}
