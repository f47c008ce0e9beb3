#pragma once
// The model that a server serves, and where its loading stands. The server listens before the model is there.
//
// Threads: every member may be called from any thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/prompt.h"
#include "chat/replay_table.h"
#include "engine/engine.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace kvasir::server {

// A loaded model and all that a request to it needs. Immutable but for the engine and the replay table, which
// are thread-safe.
struct LoadedModel {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  text::Grammars grammars;
  std::unique_ptr<chat::PromptRenderer> renderer;
  std::unique_ptr<engine::Engine> engine;
  std::shared_ptr<chat::ReplayTable> replay;  // not null
  std::string fingerprint;                    // of weights and build
};

class ModelSlot {
 public:
  // `id` is what /v1/models shows; it also answers to `aliases`.
  ModelSlot(std::string id, std::vector<std::string> aliases);

  const std::string& id() const { return id_; }
  std::int64_t created() const { return created_; }
  bool answers_to(std::string_view name) const;
  // Names that begin with "claude" or "anthropic": Claude Code lists no others. Where the id is not one,
  // there is always "anthropic-ID".
  std::vector<std::string> anthropic_names() const;

  void set_progress(double share) { progress_ = share; }
  double progress() const { return progress_; }
  void set_ready(std::shared_ptr<const LoadedModel> model);
  void set_failed(Error error);
  // Ends the model's engine: requests in flight fail with kUnavailable, later ones find nothing.
  void clear();

  // Null while loading, and after clear().
  std::shared_ptr<const LoadedModel> get() const;
  std::optional<Error> failure() const;

 private:
  const std::string id_;
  const std::vector<std::string> aliases_;
  const std::int64_t created_;
  std::atomic<double> progress_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const LoadedModel> model_;
  std::optional<Error> failure_;
};

}  // namespace kvasir::server
