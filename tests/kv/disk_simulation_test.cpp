// Seeded random appends, matches, reads, restarts, losses of power, faults and tampering on a fake file
// system, against a judge that knows what every payload must be. KVASIR_SIMULATION_STEPS sets the number of
// steps.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "kv/disk_world.h"

namespace kvasir::kv {
namespace {

std::uint64_t wanted_steps() {
  const char* text = std::getenv("KVASIR_SIMULATION_STEPS");
  return text == nullptr ? 20000 : std::strtoull(text, nullptr, 10);
}

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed), world_(seed) {
    world_.options.capacity_bytes = (std::uint64_t{40} << 10) << pick(5);
    world_.options.segment_bytes = std::uint64_t{16 << 10} << pick(4);
    world_.options.most_leaves = pick(3) == 0 ? 1 + static_cast<std::uint32_t>(pick(20)) : 0;
    if (pick(4) == 0) world_.options.key_function = weak_key;
    world_.files.set_punching(pick(3) != 0);
    world_.files.set_knows_holes(pick(3) != 0);
    reopen();
  }

  void step() {
    switch (pick(40)) {
      case 0:
        world_.files.crash(random_());
        return reopen();
      case 1:
        world_.files.kill();
        return reopen();
      case 2:
        return reopen();
      case 3:
        return fault();
      case 4:
        return tamper();
      case 5:
        return visit_other_model();
      case 6:
        return read_beside();
      case 7:
      case 8:
        (void)world_.store->sync().ok();
        break;
      case 9:
        world_.files.set_punching(pick(2) == 0);
        break;
      default:
        pick(2) == 0 ? append() : serve();
        break;
    }
    check();
  }

  std::uint64_t served() const { return served_; }

 private:
  static BlockKey weak_key(const BlockKey& parent, std::span<const TokenId> tokens) {
    const BlockKey strong = hash_block(parent, tokens);
    return {strong.low % 199, 0};
  }
  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  std::string name_space() { return pick(2) == 0 ? "a" : "b"; }

  // A fork of something seen before, with a new end from a tiny vocabulary.
  Tokens sequence() {
    Tokens tokens;
    if (!seen_.empty() && pick(5) != 0) {
      const Tokens& parent = seen_[pick(seen_.size())];
      tokens.assign(parent.begin(), parent.begin() + static_cast<std::ptrdiff_t>(pick(parent.size() + 1)));
    }
    const std::size_t more = pick(100);
    for (std::size_t i = 0; i < more; ++i) tokens.push_back(static_cast<TokenId>(pick(3)));
    return tokens;
  }

  void append() {
    const Tokens tokens = sequence();
    (void)world_.keep(name_space(), tokens).ok();
    if (seen_.size() < 50) {
      seen_.push_back(tokens);
    } else {
      seen_[pick(seen_.size())] = tokens;
    }
  }

  void serve() {
    const Tokens tokens = sequence();
    served_ +=
        world_.serve(name_space(), tokens,
                     static_cast<std::uint32_t>(pick(tokens.size() / kBlockTokens + 1) * kBlockTokens));
  }

  void fault() {
    const ErrorCode code = pick(2) == 0 ? ErrorCode::kIo : ErrorCode::kResourceExhausted;
    world_.files.fail_after(pick(60), code, pick(3) == 0);
    disturbed_ = true;
    for (int i = 0; i < 5; ++i) {
      pick(2) == 0 ? append() : serve();
      world_.store->check_invariants();
      if (pick(4) == 0) reopen_only();
    }
    world_.files.heal();
    reopen();
  }

  void tamper() {
    const auto segments = world_.segments();
    if (segments.empty()) return;
    const std::string& path = segments[pick(segments.size())];
    const std::uint64_t size = world_.files.content(path).size();
    if (size == 0) return;
    for (std::size_t i = 0; i <= pick(3); ++i) world_.files.flip_bit(path, random_() % (size * 8));
    if (pick(2) == 0) reopen();
  }

  void visit_other_model() {
    world_.options.root_name = "other";
    reopen();
    append();
    serve();
    world_.options.root_name = "model";
    reopen();
  }

  // A second process that reads what this one writes.
  void read_beside() {
    auto writer = std::move(world_.store);
    reopen_only();
    EXPECT_TRUE(world_.store->stats().read_only);
    world_.store.swap(writer);
    append();
    append();
    world_.store.swap(writer);
    for (int i = 0; i < 3; ++i) serve();
    world_.store->check_invariants();
    world_.store = std::move(writer);
  }

  void reopen_only() { world_.open(); }
  void reopen() {
    disturbed_ = false;
    reopen_only();
    check();
  }

  void check() {
    world_.store->check_invariants();
    const DiskStats stats = world_.store->stats();
    if (disturbed_ || stats.writes_stopped) return;
    ASSERT_FALSE(stats.read_only) << world_.store->warning();
    ASSERT_LE(stats.bytes, world_.options.capacity_bytes);
    ASSERT_LE(world_.files.allocated("/kv/seg-"), world_.options.capacity_bytes);
    if (world_.options.most_leaves != 0) {
      ASSERT_LE(stats.leaves, world_.options.most_leaves);
    }
  }

  std::mt19937_64 random_;
  DiskWorld world_;
  std::vector<Tokens> seen_;
  std::uint64_t served_ = 0;
  bool disturbed_ = false;
};

TEST(DiskSimulation, NoWrongPayloadIsEverServed) {
  const std::uint64_t steps = wanted_steps();
  std::uint64_t served = 0;
  for (std::uint64_t done = 0, seed = 1; done < steps; done += 1000, ++seed) {
    Simulation simulation(seed);
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(1000, steps - done); ++i) {
      simulation.step();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << i;
    }
    served += simulation.served();
  }
  EXPECT_GT(served, steps) << "a simulation without hits shows nothing";
}

}  // namespace
}  // namespace kvasir::kv
