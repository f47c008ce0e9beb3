#include "api/openai_responses_response.h"

#include <optional>
#include <utility>

#include "api/custom_input.h"
#include "api/openai_responses_items.h"
#include "api/openai_usage.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

class ResponsesResponse : public ResponseBuilder {
 public:
  ResponsesResponse(ResponseOptions options, ResponsesOptions responses)
      : options_(std::move(options)), responses_(std::move(responses)) {}

  std::string opened() override {
    std::string out = event("response.created", {{"response", response()}});
    return out + event("response.in_progress", {{"response", response()}});
  }

  void explain(const CacheExplanation& explanation) override { explanation_ = explanation; }
  std::string started(std::size_t, const engine::Started&) override { return {}; }

  std::string output(std::size_t, std::span<const chat::OutputEvent> events,
                     std::span<const engine::SampledToken> tokens) override {
    if (options_.logprobs) {
      for (json::value& entry : logprobs_json(options_, tokens)) logprobs_.push_back(std::move(entry));
    }
    std::string out;
    for (const chat::OutputEvent& one : events) {
      out += std::visit([this](const auto& e) { return take(e); }, one);
    }
    return out;
  }

  void reasoned(std::size_t, std::uint32_t tokens) override { reasoning_tokens_ = tokens; }

  std::string finished(std::size_t, const engine::Finished& finished) override {
    usage_ = finished.usage;
    done_ = true;
    const bool cut = finished.reason == engine::FinishReason::kLength;
    // Clients want an item, even of an answer without a word.
    std::string out;
    if (output_.empty() && kind_ == Item::kNone) out = open_message();
    out += close(cut ? "incomplete" : "completed");
    status_ = cut ? "incomplete" : "completed";
    return out;
  }

  std::string ended() override {
    const json::object whole = completed();
    return event(status_ == "incomplete" ? "response.incomplete" : "response.completed",
                 {{"response", whole}});
  }

  std::string keepalive() override { return options_.stream ? ": ping\n\n" : ""; }

  std::string failed(const Error& error) override {
    status_ = "failed";
    json::object whole = response();
    whole["error"] = json::object{{"code", "server_error"}, {"message", error.message}};
    return event("response.failed", {{"response", std::move(whole)}});
  }

  std::string body() override { return json::serialize(completed()); }

 private:
  enum class Item { kNone, kMessage, kThought, kCall };

  std::string event(const char* type, json::object fields) {
    if (!options_.stream) return {};
    json::object data{{"type", type}, {"sequence_number", sequence_++}};
    for (auto& field : fields) data[field.key()] = std::move(field.value());
    return std::string("event: ") + type + "\n" + sse_data(data);
  }

  // An event about the open item.
  std::string item_event(const char* type, json::object fields) {
    fields["item_id"] = item_.at("id");
    fields["output_index"] = output_.size();
    return event(type, std::move(fields));
  }
  std::string part_event(const char* type, json::object fields) {
    fields["content_index"] = 0;
    return item_event(type, std::move(fields));
  }

  json::object usage_json() const {
    const std::uint32_t read = usage_.prompt_tokens - usage_.cached_tokens;
    return {{"input_tokens", usage_.prompt_tokens},
            {"input_tokens_details",
             json::object{{"cached_tokens", usage_.cached_tokens}, {"cache_write_tokens", read}}},
            {"output_tokens", usage_.completion_tokens},
            {"output_tokens_details", json::object{{"reasoning_tokens", reasoning_tokens_}}},
            {"total_tokens", usage_.prompt_tokens + usage_.completion_tokens}};
  }

  json::object response() const {
    json::object whole{{"id", "resp_" + options_.id},
                       {"object", "response"},
                       {"created_at", options_.created},
                       {"status", status_},
                       {"background", false},
                       {"error", nullptr},
                       {"incomplete_details", nullptr},
                       {"model", options_.model},
                       {"output", output_},
                       {"service_tier", "default"},
                       {"usage", nullptr}};
    for (const auto& field : responses_.echo) whole[field.key()] = field.value();
    if (status_ == "incomplete") whole["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    if (done_) whole["usage"] = usage_json();
    add_explanation(whole, explanation_);
    return whole;
  }

  json::object completed() {
    json::object whole = response();
    if (responses_.on_response) responses_.on_response(whole);
    return whole;
  }

  std::string open(Item kind, const char* prefix, json::object item) {
    std::string out = close("completed");
    kind_ = kind;
    item_ = std::move(item);
    item_["id"] = prefix + options_.id + std::to_string(output_.size());
    return out + event("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
  }

  std::string open_message() {
    std::string out = open(
        Item::kMessage, "msg_",
        {{"type", "message"}, {"role", "assistant"}, {"status", "in_progress"}, {"content", json::array()}});
    return out + part_event("response.content_part.added", {{"part", text_part()}});
  }

  json::object text_part() const {
    return {{"type", "output_text"},
            {"text", text_},
            {"annotations", json::array()},
            {"logprobs", options_.logprobs ? json::value(item_logprobs_) : json::value(json::array())}};
  }
  json::object thought_part() const { return {{"type", "reasoning_text"}, {"text", text_}}; }

  std::string take(const chat::TextDelta& delta) {
    std::string out;
    if (kind_ != Item::kMessage) out = open_message();
    text_ += delta.text;
    // What was sampled since the last text of a message belongs to this piece of it.
    json::array logprobs = std::exchange(logprobs_, {});
    for (const json::value& one : logprobs) item_logprobs_.push_back(one);
    return out + part_event("response.output_text.delta",
                            {{"delta", delta.text}, {"logprobs", without_bytes(std::move(logprobs))}});
  }

  std::string take(const chat::ReasoningDelta& delta) {
    logprobs_.clear();
    if (options_.thoughts == ThoughtField::kHidden) return {};
    std::string out;
    if (kind_ != Item::kThought) {
      out = open(Item::kThought, "rs_",
                 {{"type", "reasoning"},
                  {"status", "in_progress"},
                  {"summary", json::array()},
                  {"content", json::array()}});
      out += part_event("response.content_part.added", {{"part", thought_part()}});
    }
    text_ += delta.text;
    return out + part_event("response.reasoning_text.delta", {{"delta", delta.text}});
  }

  std::string take(const chat::ToolCallBegin& call) {
    logprobs_.clear();
    const auto origin = options_.tool_origins.find(call.name);
    const bool known = origin != options_.tool_origins.end();
    custom_.reset();
    if (known && origin->second.custom) custom_.emplace();
    json::object item{{"type", custom_ ? "custom_tool_call" : "function_call"},
                      {"call_id", call.id},
                      {"name", known ? origin->second.name : call.name},
                      {custom_ ? "input" : "arguments", ""}};
    if (known && !origin->second.name_space.empty()) item["namespace"] = origin->second.name_space;
    if (!custom_) item["status"] = "in_progress";
    return open(Item::kCall, custom_ ? "ctc_" : "fc_", std::move(item));
  }

  std::string take(const chat::ToolCallArguments& arguments) {
    logprobs_.clear();
    const std::string piece = custom_ ? custom_->feed(arguments.fragment) : arguments.fragment;
    if (piece.empty()) return {};
    text_ += piece;
    return item_event(
        custom_ ? "response.custom_tool_call_input.delta" : "response.function_call_arguments.delta",
        {{"delta", piece}});
  }

  std::string take(const chat::ToolCallEnd&) { return close("completed"); }

  // Ends the open item, where there is one.
  std::string close(const char* status) {
    std::string out;
    switch (kind_) {
      case Item::kNone:
        return out;
      case Item::kMessage:
        out = part_event("response.output_text.done",
                         {{"text", text_}, {"logprobs", without_bytes(item_logprobs_)}});
        out += part_event("response.content_part.done", {{"part", text_part()}});
        item_["content"] = json::array{text_part()};
        break;
      case Item::kThought:
        out = part_event("response.reasoning_text.done", {{"text", text_}});
        out += part_event("response.content_part.done", {{"part", thought_part()}});
        item_["content"] = json::array{thought_part()};
        if (responses_.encrypted_thoughts) item_["encrypted_content"] = std::string(kThoughtMark) + text_;
        break;
      case Item::kCall: {
        const char* field = custom_ ? "input" : "arguments";
        item_[field] = text_;
        out = item_event(
            custom_ ? "response.custom_tool_call_input.done" : "response.function_call_arguments.done",
            {{field, text_}});
        break;
      }
    }
    if (item_.contains("status")) item_["status"] = status;
    out += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
    output_.push_back(std::exchange(item_, {}));
    text_.clear();
    item_logprobs_.clear();
    kind_ = Item::kNone;
    return out;
  }

  // Events about a text have them without.
  static json::array without_bytes(json::array logprobs) {
    for (json::value& one : logprobs) {
      one.as_object().erase("bytes");
      for (json::value& other : one.at("top_logprobs").as_array()) other.as_object().erase("bytes");
    }
    return logprobs;
  }

  ResponseOptions options_;
  ResponsesOptions responses_;
  engine::Usage usage_;
  std::uint32_t reasoning_tokens_ = 0;
  std::optional<CacheExplanation> explanation_;
  std::string_view status_ = "in_progress";
  bool done_ = false;
  std::uint64_t sequence_ = 0;
  json::array output_;  // the items that have ended
  Item kind_ = Item::kNone;
  json::object item_;  // the open one
  std::string text_;   // of it
  std::optional<CustomInput> custom_;
  json::array logprobs_;  // of the tokens that no text has come of yet
  json::array item_logprobs_;
};

}  // namespace

std::unique_ptr<ResponseBuilder> make_openai_responses_response(ResponseOptions options,
                                                                ResponsesOptions responses) {
  return std::make_unique<ResponsesResponse>(std::move(options), std::move(responses));
}

}  // namespace kvasir::api
