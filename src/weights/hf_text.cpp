#include "weights/hf_text.h"

#include <limits>
#include <string>
#include <vector>

#include "weights/hf_config.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

std::optional<std::int64_t> token_id(const json::value& v) {
  if (!v.is_int64()) return std::nullopt;
  const std::int64_t id = v.get_int64();
  return id >= 0 && id <= std::numeric_limits<std::int32_t>::max() ? std::optional(id) : std::nullopt;
}

// One id, or a list of them.
std::vector<std::int64_t> token_ids(const json::object& o, std::string_view name) {
  std::vector<std::int64_t> ids;
  const json::value* v = field(o, name);
  if (v == nullptr) return ids;
  if (const auto id = token_id(*v)) ids.push_back(*id);
  if (const json::array* a = v->if_array()) {
    for (const json::value& item : *a) {
      if (const auto id = token_id(item)) ids.push_back(*id);
    }
  }
  return ids;
}

// tokenizer_config.json has tokens as text, or as objects with a text.
std::string_view token_text(const json::object& o, std::string_view name) {
  if (const json::object* token = object_field(o, name)) return text_field(*token, "content");
  return text_field(o, name);
}

void set_ends(const json::object& config, const json::object& generation, FolderData& data) {
  std::vector<std::int64_t> ends = token_ids(generation, "eos_token_id");
  if (ends.empty()) ends = token_ids(text_config(config), "eos_token_id");
  if (ends.empty()) ends = token_ids(config, "eos_token_id");
  if (ends.empty()) return;
  data.set("tokenizer.ggml.eos_token_id", ends.front());
  data.set("kvasir.end_token_ids", MetaArray(std::move(ends)));
}

void set_sampling(const json::object& generation, FolderData& data) {
  const json::value* samples = field(generation, "do_sample");
  if (samples == nullptr || !samples->is_bool() || !samples->get_bool()) return;
  for (const auto& [name, key] : {std::pair("temperature", "temp"), std::pair("top_p", "top_p"),
                                  std::pair("top_k", "top_k"), std::pair("min_p", "min_p")}) {
    if (const auto v = number_field(generation, name)) data.set(std::string("general.sampling.") + key, *v);
  }
}

// A template as a text, or a list of named ones, of which "default" is for conversations. What tells tools
// from none in a list ("tool_use") knows plain conversations as well, where both are there.
std::string template_of(const json::value& v) {
  if (v.is_string()) return std::string(v.get_string());
  std::string found;
  const json::array* list = v.if_array();
  if (list == nullptr) return found;
  for (const json::value& item : *list) {
    const json::object* o = item.if_object();
    if (o == nullptr) continue;
    const std::string_view name = text_field(*o, "name");
    if (name == "default" || (found.empty() && name == "tool_use")) found = text_field(*o, "template");
  }
  return found;
}

Status set_template(const json::object& tokenizer, FolderData& data) {
  KVASIR_ASSIGN_OR_RETURN(std::optional<std::string> jinja,
                          read_folder_text(data.path, "chat_template.jinja"));
  std::string source = jinja.value_or("");
  if (source.empty()) {
    KVASIR_ASSIGN_OR_RETURN(const auto file, read_folder_json(data.path, "chat_template.json"));
    if (const json::value* v = file ? field(*file, "chat_template") : nullptr) source = template_of(*v);
  }
  if (source.empty()) {
    if (const json::value* v = field(tokenizer, "chat_template")) source = template_of(*v);
  }
  if (!source.empty()) data.set_text("tokenizer.chat_template", std::move(source));
  return {};
}

}  // namespace

Status read_hf_text(const json::object& config, FolderData& data) {
  KVASIR_ASSIGN_OR_RETURN(std::optional<std::string> tokenizer,
                          read_folder_text(data.path, "tokenizer.json"));
  KVASIR_ASSIGN_OR_RETURN(const auto settings, read_folder_json(data.path, "tokenizer_config.json"));
  KVASIR_ASSIGN_OR_RETURN(const auto generation, read_folder_json(data.path, "generation_config.json"));
  const json::object none;
  const json::object& tokens = settings ? *settings : none;
  if (tokenizer) data.set_text("tokenizer.huggingface.json", std::move(*tokenizer));
  if (const std::string_view text = token_text(tokens, "bos_token"); !text.empty()) {
    data.set_text("kvasir.bos_token", std::string(text));
  }
  if (const std::string_view text = token_text(tokens, "eos_token"); !text.empty()) {
    data.set_text("kvasir.eos_token", std::string(text));
  }
  if (const json::value* adds = field(tokens, "add_bos_token"); adds != nullptr && adds->is_bool()) {
    data.set("tokenizer.ggml.add_bos_token", adds->get_bool());
  }
  const std::vector<std::int64_t> bos = token_ids(text_config(config), "bos_token_id");
  if (!bos.empty()) data.set("tokenizer.ggml.bos_token_id", bos.front());
  set_ends(config, generation ? *generation : none, data);
  set_sampling(generation ? *generation : none, data);
  return set_template(tokens, data);
}

}  // namespace kvasir::weights
