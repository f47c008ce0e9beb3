#include "base/metrics.h"

#include <gtest/gtest.h>

namespace kvasir {
namespace {

TEST(Metrics, WritesPrometheusText) {
  MetricsWriter out;
  out.counter("requests_total", "Requests.", 3);
  out.gauge("usage", "Share used.", 0.25);
  EXPECT_EQ(out.take(),
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 3\n"
            "# HELP usage Share used.\n# TYPE usage gauge\nusage 0.25\n");
}

TEST(Metrics, HistogramBucketsAreCumulative) {
  Histogram h({0.1, 1});
  for (const double v : {0.05, 0.1, 0.5, 7.0}) h.observe(v);
  MetricsWriter out;
  h.write(out, "t", "T.");
  EXPECT_EQ(out.take(),
            "# HELP t T.\n# TYPE t histogram\nt_bucket{le=\"0.1\"} 2\nt_bucket{le=\"1\"} "
            "3\nt_bucket{le=\"+Inf\"} 4\n"
            "t_sum 7.65\nt_count 4\n");
}

}  // namespace
}  // namespace kvasir
