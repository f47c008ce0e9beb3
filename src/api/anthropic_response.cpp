// Anthropic's message object and its event stream.

#include <utility>

#include "api/response_builder.h"

#include <boost/json.hpp>

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Stop reasons are end_turn, max_tokens, stop_sequence, tool_use and model_context_window_exceeded. Nothing
// here pauses a turn (no tool runs on the server) or refuses one.
class AnthropicResponse : public ResponseBuilder {
 public:
  AnthropicResponse(ResponseOptions options, AnthropicNotes notes)
      : options_(std::move(options)), notes_(std::move(notes)) {}

  // The first event has the prompt's usage in it: it waits for started(), or for the first keepalive.
  std::string opened() override { return {}; }

  void explain(const CacheExplanation& explanation) override { explanation_ = explanation; }

  std::string started(std::size_t, const engine::Started& started) override {
    usage_.prompt_tokens = started.prompt_tokens;
    usage_.cached_tokens = started.cached_tokens;
    looked_up_ = started;
    return begin();
  }

  std::string output(std::size_t, std::span<const chat::OutputEvent> events,
                     std::span<const engine::SampledToken> tokens) override {
    usage_.completion_tokens += static_cast<std::uint32_t>(tokens.size());
    std::string out;
    for (const chat::OutputEvent& event : events) {
      out += std::visit([this](const auto& e) { return take(e); }, event);
    }
    return options_.stream ? out : std::string();
  }

  void reasoned(std::size_t, std::uint32_t tokens) override { thinking_tokens_ = tokens; }

  std::string finished(std::size_t, const engine::Finished& finished) override {
    usage_ = finished.usage;
    std::string out = begin();
    // Clients take an answer without a block for a broken one.
    if (blocks_.empty()) out += open_block(Block::kText, json::object{{"type", "text"}, {"text", ""}});
    out += close_block();
    stop_reason_ = stop_reason(finished);
    if (finished.reason == engine::FinishReason::kStopString) stop_sequence_ = finished.stop_string;
    json::object delta{{"container", nullptr},
                       {"stop_details", nullptr},
                       {"stop_reason", stop_reason_},
                       {"stop_sequence", stop_sequence_}};
    json::object end{{"delta", std::move(delta)}, {"usage", end_usage_json()}};
    add_beta_fields(end);
    if (explanation_) end["kvasir_cache"] = cache_json(*explanation_);
    out += event("message_delta", std::move(end));
    return options_.stream ? out : std::string();
  }

  std::string ended() override { return options_.stream ? event("message_stop", {}) : std::string(); }

  std::string keepalive() override { return options_.stream ? begin() + event("ping", {}) : std::string(); }

  std::string failed(const Error& error) override {
    return options_.stream ? begin() + error_event(Dialect::kAnthropic, error, notes_.request_id)
                           : std::string();
  }

  std::string body() override {
    json::object message = message_json();
    message["content"] = std::move(blocks_);
    return json::serialize(message);
  }

 private:
  enum class Block { kNone, kText, kThinking, kToolUse };

  std::string event(const char* type, json::object fields) const {
    json::object data{{"type", type}};
    for (auto& field : fields) data[field.key()] = std::move(field.value());
    return std::string("event: ") + type + "\ndata: " + json::serialize(data) + "\n\n";
  }

  const char* stop_reason(const engine::Finished& finished) const {
    switch (finished.reason) {
      case engine::FinishReason::kLength:
        return finished.usage.completion_tokens < notes_.max_tokens.value_or(0)
                   ? "model_context_window_exceeded"
                   : "max_tokens";
      case engine::FinishReason::kStopString:
        return "stop_sequence";
      case engine::FinishReason::kStop:
        break;
    }
    return calls_ > 0 ? "tool_use" : "end_turn";
  }

  // What the end of a stream tells too.
  json::object end_usage_json() const {
    const InputTokens split = split_prompt(notes_.marks, usage_.prompt_tokens, usage_.cached_tokens);
    json::object usage{{"input_tokens", split.input},
                       {"cache_creation_input_tokens", split.created_5m + split.created_1h},
                       {"cache_read_input_tokens", split.read},
                       {"output_tokens", usage_.completion_tokens},
                       {"output_tokens_details", nullptr},
                       {"server_tool_use", nullptr}};
    if (thinking_tokens_)
      usage["output_tokens_details"] = json::object{{"thinking_tokens", *thinking_tokens_}};
    return usage;
  }

  json::object usage_json() const {
    const InputTokens split = split_prompt(notes_.marks, usage_.prompt_tokens, usage_.cached_tokens);
    json::object usage = end_usage_json();
    usage["cache_creation"] = json::object{{"ephemeral_5m_input_tokens", split.created_5m},
                                           {"ephemeral_1h_input_tokens", split.created_1h}};
    usage["service_tier"] = "standard";
    return usage;
  }

  // Pending (no reason yet) while the prompt has not been looked up.
  json::value diagnostics() const {
    if (!notes_.diagnoses) return nullptr;
    if (!looked_up_ && notes_.miss) return json::object{{"cache_miss_reason", nullptr}};
    return looked_up_ ? diagnostics_json(notes_.miss, looked_up_->prompt_tokens, looked_up_->cached_tokens)
                      : nullptr;
  }

  json::object message_json() const {
    json::object message{{"id", message_id()},           {"type", "message"},
                         {"role", "assistant"},          {"model", options_.model},
                         {"content", json::array()},     {"container", nullptr},
                         {"diagnostics", diagnostics()}, {"stop_details", nullptr},
                         {"stop_reason", stop_reason_},  {"stop_sequence", stop_sequence_},
                         {"usage", usage_json()}};
    add_beta_fields(message);
    if (explanation_) message["kvasir_cache"] = cache_json(*explanation_);
    return message;
  }

  // What only a request that has asked for it is told.
  void add_beta_fields(json::object& to) const {
    if (notes_.edits) to["context_management"] = context_management_json(*notes_.edits);
    if (!notes_.dropped_thoughts) return;
    json::array dropped;
    for (const std::string& path : *notes_.dropped_thoughts) {
      // Of the reasons that the API has, the one for what another model thought.
      dropped.push_back(
          json::object{{"type", "thinking_dropped"}, {"path", path}, {"reason", "model_binding_mismatch"}});
    }
    to["input_transformations"] = std::move(dropped);
  }

  std::string message_id() const { return anthropic_message_id(options_.id); }

  std::string begin() {
    if (begun_ || !options_.stream) return {};
    begun_ = true;
    return event("message_start", {{"message", message_json()}});
  }

  std::string take(const chat::TextDelta& delta) {
    std::string out;
    if (block_ != Block::kText) {
      out = close_block();
      out += open_block(Block::kText, json::object{{"type", "text"}, {"text", ""}});
    }
    text_ += delta.text;
    return out + block_delta({{"type", "text_delta"}, {"text", delta.text}});
  }

  std::string take(const chat::ReasoningDelta& delta) {
    std::string out;
    if (block_ != Block::kThinking) {
      out = close_block();
      out += open_block(Block::kThinking,
                        json::object{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    }
    text_ += delta.text;
    if (hides_thoughts()) return out;
    return out + block_delta({{"type", "thinking_delta"}, {"thinking", delta.text}});
  }

  std::string take(const chat::ToolCallBegin& call) {
    ++calls_;
    json::object block{{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", json::object()}};
    std::string out = close_block();
    out += open_block(Block::kToolUse, std::move(block));
    return out;
  }

  std::string take(const chat::ToolCallArguments& arguments) {
    text_ += arguments.fragment;
    return block_delta({{"type", "input_json_delta"}, {"partial_json", arguments.fragment}});
  }

  std::string take(const chat::ToolCallEnd&) { return close_block(); }

  std::string open_block(Block kind, json::object block) {
    std::string out = begin();
    if (options_.stream)
      out += event("content_block_start", {{"index", blocks_.size()}, {"content_block", block}});
    blocks_.push_back(std::move(block));
    block_ = kind;
    return out;
  }

  std::string block_delta(json::object delta) const {
    if (!options_.stream) return {};
    return event("content_block_delta", {{"index", blocks_.size() - 1}, {"delta", std::move(delta)}});
  }

  std::string close_block() {
    if (block_ == Block::kNone) return {};
    std::string out;
    const std::string text = std::exchange(text_, {});
    if (block_ == Block::kThinking)
      out = block_delta({{"type", "signature_delta"}, {"signature", signature(text)}});
    if (!options_.stream) keep_whole(text);
    block_ = Block::kNone;
    return out + event("content_block_stop", {{"index", blocks_.size() - 1}});
  }

  bool hides_thoughts() const { return options_.thoughts == ThoughtField::kHidden; }
  std::string signature(const std::string& thought) const {
    return notes_.signer.sign(thought, hides_thoughts());
  }

  // The block as body() shows it. A streaming builder keeps only its head, to count by.
  void keep_whole(const std::string& text) {
    json::object& block = blocks_.back().as_object();
    if (block_ == Block::kText) block["text"] = text;
    if (block_ == Block::kThinking) {
      block["thinking"] = hides_thoughts() ? std::string() : text;
      block["signature"] = signature(text);
    }
    if (block_ == Block::kToolUse) {
      boost::system::error_code failed;
      json::value input = json::parse(text, failed);
      // Cut short by max_tokens: the input must still be an object.
      if (!failed && input.is_object()) block["input"] = std::move(input);
    }
  }

  ResponseOptions options_;
  AnthropicNotes notes_;
  engine::Usage usage_;
  std::optional<engine::Started> looked_up_;
  std::optional<std::uint32_t> thinking_tokens_;
  std::optional<CacheExplanation> explanation_;
  bool begun_ = false;
  Block block_ = Block::kNone;
  json::array blocks_;
  std::string text_;  // of the open block
  std::size_t calls_ = 0;
  json::value stop_reason_;
  json::value stop_sequence_;
};

}  // namespace

std::string anthropic_message_id(const std::string& id) {
  return "msg_" + id;
}

std::unique_ptr<ResponseBuilder> make_anthropic_response(ResponseOptions options, AnthropicNotes notes) {
  return std::make_unique<AnthropicResponse>(std::move(options), std::move(notes));
}

}  // namespace kvasir::api
