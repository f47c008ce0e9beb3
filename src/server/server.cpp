#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "api/anthropic_messages.h"
#include "api/errors.h"
#include "api/models.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"
#include "api/response_builder.h"
#include "base/version.h"
#include "chat/tool_constraint.h"
#include "server/answer.h"
#include "server/cache_admin.h"
#include "server/cache_namespace.h"
#include "server/request_log.h"
#include "server/server_metrics.h"
#include "server/turn_recording.h"

namespace kvasir::server {
namespace {

namespace json = boost::json;
using api::Dialect;

constexpr std::size_t kFamilyBytesMost = 256;

Dialect dialect_of(const HttpRequest& request) {
  const bool anthropic =
      request.path.starts_with("/v1/messages") || !request.header("anthropic-version").empty();
  return anthropic ? Dialect::kAnthropic : Dialect::kOpenAi;
}

// Takes as long whatever the difference is.
bool same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char c = given.empty() ? '\0' : given[i % given.size()];
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(c) ^ static_cast<unsigned char>(secret[i]));
  }
  return difference == 0;
}

// The scheme's letters may be of either case (RFC 9110).
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  return authorization.substr(kScheme.size());
}

// A path segment as it was before percent-encoding; clients encode the slashes of model names.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      plain += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string random_id() {
  static constexpr std::string_view kLetters = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::uniform_int_distribution<std::size_t> pick(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < 24; ++i) id += kLetters[pick(generator)];
  return id;
}

std::uint64_t random_seed() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

// A status that the server itself finds, in the API's shape.
HttpResponse shaped_error(int status, const std::string& sentence, const HttpRequest& request) {
  ErrorCode code = ErrorCode::kInvalidArgument;
  if (status == 413) code = ErrorCode::kTooLarge;
  if (status == 404 || status == 405) code = ErrorCode::kNotFound;
  HttpResponse response =
      json_response(status, api::error_body(dialect_of(request), make_error(code, sentence)));
  return response;
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, ModelSlot& slot) : options_(std::move(options)), slot_(slot) {}

  ~Impl() {
    stop(0);
    http_.reset();
  }

  Status start() {
    HttpOptions http = options_.http;
    http.guard = [this](const HttpRequest& request) { return guard(request); };
    http.shape_error = shaped_error;
    auto server =
        HttpServer::start(std::move(http), [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
          handle(std::move(request), std::move(exchange));
        });
    if (!server.ok()) return server.error();
    http_ = std::move(server).value();
    ticker_ = std::thread([this] { tick(); });
    return {};
  }

  std::uint16_t port() const { return http_->port(); }

  bool stop(double seconds) {
    if (!http_ || !ticker_.joinable()) return true;
    cache_admin_.stop();
    const bool finished = http_->drain(seconds);
    slot_.clear();  // what still runs fails with kUnavailable, and its clients are told
    if (!finished) http_->drain(1);
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    ticker_.join();
    return finished;
  }

 private:
  std::unique_ptr<HttpResponse> guard(const HttpRequest& request) const {
    const bool open = request.path == "/health" || request.path == "/";
    if (options_.api_keys.empty() || open || key_of(request) != nullptr) return nullptr;
    const bool none =
        request.header("x-api-key").empty() && bearer_token(request.header("authorization")).empty();
    const std::string sentence =
        none ? "no API key was given; send 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
             : "the API key is not one that this server was started with";
    auto refusal = std::make_unique<HttpResponse>(
        error_response(dialect_of(request), make_error(ErrorCode::kUnauthenticated, sentence)));
    RequestRecord record(request, "req_" + random_id(), options_.request_log);
    record.status(refusal->status);
    record.finish();
    return refusal;
  }

  // The server's key that a request shows; null where it shows none. One right key is enough: some clients
  // send both headers. Every key is compared, so that the time tells nothing.
  const std::string* key_of(const HttpRequest& request) const {
    const std::string_view key = request.header("x-api-key");
    const std::string_view bearer = bearer_token(request.header("authorization"));
    const std::string* found = nullptr;
    for (const std::string& ours : options_.api_keys) {
      const bool by_key = same_secret(key, ours);
      if (same_secret(bearer, ours) || by_key) found = &ours;
    }
    return found;
  }

  std::string cache_namespace_for(const HttpRequest& request, std::string_view salt) const {
    const std::string* key = options_.share_cache ? nullptr : key_of(request);
    return cache_namespace(key != nullptr ? *key : std::string(), salt);
  }

  void place_in_cache(const HttpRequest& request, api::GenerationOptions& options) const {
    options.cache_namespace = cache_namespace_for(request, options.cache_salt);
    // Claude Code names its session in a header.
    if (options.cache_family.empty()) options.cache_family = request.header("x-claude-code-session-id");
    options.cache_family.resize(std::min(options.cache_family.size(), kFamilyBytesMost));
  }

  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
    ++metrics_.http_requests;
    exchange = logged(request, "req_" + random_id(), options_.request_log, std::move(exchange));
    try {
      route(request, exchange);
    } catch (const std::exception& e) {
      // Nothing below is meant to throw; whatever does costs this request only.
      exchange->respond(error_response(dialect_of(request), make_error(ErrorCode::kInternal, e.what())));
    }
  }

  void route(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    struct Route {
      std::string_view method;
      std::string_view path;
      void (Impl::*serve)(const HttpRequest&, const std::shared_ptr<Exchange>&);
    };
    static constexpr Route kRoutes[] = {
        {"POST", "/v1/chat/completions", &Impl::chat_completions},
        {"POST", "/v1/completions", &Impl::completions},
        {"POST", "/v1/messages", &Impl::messages},
        {"POST", "/v1/messages/count_tokens", &Impl::count_tokens},
        {"GET", "/v1/models", &Impl::models},
        {"GET", "/health", &Impl::health},
        {"GET", "/metrics", &Impl::metrics},
        {"GET", "/", &Impl::root},
        {"GET", "/admin/cache", &Impl::admin_cache},
        {"GET", "/admin/cache/conversations", &Impl::admin_cache},
        {"POST", "/admin/cache/verify", &Impl::admin_cache},
        {"POST", "/admin/cache/prune", &Impl::admin_cache},
        {"POST", "/admin/cache/clear", &Impl::admin_cache},
        {"POST", "/admin/cache/export", &Impl::admin_cache},
        {"POST", "/admin/cache/import", &Impl::admin_cache},
    };
    const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
    std::string_view allowed;
    for (const Route& r : kRoutes) {
      if (r.path != request.path) continue;
      allowed = r.method == "GET" ? "GET, HEAD" : r.method;
      if (r.method == method) return (this->*r.serve)(request, exchange);
    }
    if (method == "GET" && request.path.starts_with("/v1/models/")) return one_model(request, exchange);
    const std::string what = request.method + " " + request.path;
    if (allowed.empty())
      return exchange->respond(shaped_error(404, what + ": there is no such route", request));
    HttpResponse refusal =
        shaped_error(405, what + ": this method is not allowed here; use " + std::string(allowed), request);
    refusal.headers.emplace_back("Allow", allowed);
    exchange->respond(std::move(refusal));
  }

  void admin_cache(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    cache_admin_.handle(request, cache_namespace_for(request, {}), exchange);
  }

  void root(const HttpRequest& /*request*/, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond(
        {200,
         {{"Content-Type", "text/plain; charset=utf-8"}},
         std::string("Kvasir ") + kVersion + " serves " + slot_.id() +
             "\nPOST /v1/chat/completions, /v1/completions, /v1/messages; GET /v1/models, /health, "
             "/metrics\n"});
  }

  void health(const HttpRequest& /*request*/, const std::shared_ptr<Exchange>& exchange) {
    if (const auto failure = slot_.failure()) {
      const json::object body{{"status", "failed"}, {"error", failure->message}};
      return exchange->respond(json_response(503, json::serialize(body)));
    }
    const bool ready = slot_.get() != nullptr;
    const json::object body{
        {"status", ready ? "ok" : "loading"}, {"progress", slot_.progress()}, {"model", slot_.id()}};
    // 200 while loading too: the server is healthy, and `status` tells the rest.
    exchange->respond(json_response(200, json::serialize(body)));
  }

  void metrics(const HttpRequest& /*request*/, const std::shared_ptr<Exchange>& exchange) {
    const auto model = slot_.get();
    exchange->respond({200,
                       {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                       metrics_.text(model ? model->engine.get() : nullptr)});
  }

  api::ModelEntry entry() const {
    const auto model = slot_.get();
    return {slot_.id(), slot_.created(), model ? model->engine->context_length() : 0};
  }

  void models(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const api::ModelEntry only = entry();
    exchange->respond(json_response(200, api::models_body(dialect_of(request), {&only, 1})));
  }

  void one_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const std::string name =
        percent_decoded(std::string_view(request.path).substr(std::string_view("/v1/models/").size()));
    if (!slot_.answers_to(name)) {
      return exchange->respond(error_response(dialect_of(request), api::unknown_model(name, slot_.id())));
    }
    exchange->respond(json_response(200, api::model_body(dialect_of(request), entry())));
  }

  // The model if it is there and is the one asked for; else the client has been told.
  std::shared_ptr<const LoadedModel> model_for(const std::string& name, Dialect dialect,
                                               const std::shared_ptr<Exchange>& exchange) {
    if (!slot_.answers_to(name)) {
      exchange->respond(error_response(dialect, api::unknown_model(name, slot_.id())));
      return nullptr;
    }
    auto model = slot_.get();
    if (!model) {
      const auto failure = slot_.failure();
      const int percent = static_cast<int>(slot_.progress() * 100);
      exchange->respond(error_response(
          dialect,
          make_error(ErrorCode::kUnavailable, failure ? "the model could not be loaded: " + failure->message
                                                      : "the model is loading (" + std::to_string(percent) +
                                                            "%); try again shortly")));
    }
    return model;
  }

  void chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    auto parsed = api::parse_openai_chat(request.body);
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kOpenAi, parsed.error()));
    place_in_cache(request, parsed->options);
    answer_chat(std::move(*parsed), Dialect::kOpenAi, request.path, exchange);
  }

  void messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    auto parsed = api::parse_anthropic_messages(request.body);
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kAnthropic, parsed.error()));
    place_in_cache(request, parsed->options);
    answer_chat(std::move(*parsed), Dialect::kAnthropic, request.path, exchange);
  }

  void count_tokens(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const auto parsed = api::parse_anthropic_count_tokens(request.body);
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kAnthropic, parsed.error()));
    const auto model = model_for(parsed->options.model, Dialect::kAnthropic, exchange);
    if (!model) return;
    const std::string name_space = cache_namespace_for(request, parsed->options.cache_salt);
    const auto prompt = model->renderer->render(parsed->conversation, {model->replay.get(), name_space});
    if (!prompt.ok()) return exchange->respond(error_response(Dialect::kAnthropic, prompt.error()));
    exchange->respond(json_response(200, api::anthropic_count_body(prompt->tokens.size())));
  }

  void answer_chat(api::ChatRequest request, Dialect dialect, const std::string& label,
                   const std::shared_ptr<Exchange>& exchange) {
    const auto model = model_for(request.options.model, dialect, exchange);
    if (!model) return;
    const std::string& name_space = request.options.cache_namespace;
    const auto prompt = model->renderer->render(request.conversation, {model->replay.get(), name_space});
    if (!prompt.ok()) return exchange->respond(error_response(dialect, prompt.error()));
    metrics_.replayed_tokens += prompt->replayed_tokens;
    const chat::TemplateTraits& traits = model->renderer->traits();

    AnswerOptions options;
    std::vector<engine::Request> requests;
    const chat::ConstraintContext constraining{
        model->grammars,         model->tokenizer,         &traits,
        prompt->opens_reasoning, prompt->closes_reasoning, prompt->opens_call};
    for (std::uint32_t i = 0; i < request.options.n; ++i) {
      auto plan = chat::make_constraint(constraining, request.conversation);
      if (!plan.ok()) return exchange->respond(error_response(dialect, plan.error()));
      auto engine_request = engine_request_for(request.options, prompt->tokens, i, *model, dialect);
      if (!engine_request.ok()) return exchange->respond(error_response(dialect, engine_request.error()));
      engine_request->constraint = std::move(plan->constraint);
      engine_request->shown_tokens = traits.shown_tokens();
      requests.push_back(std::move(*engine_request));
      options.parsers.push_back(
          parser_for(request.conversation, traits, *prompt,
                     {dialect, plan->holds_calls, request.options.thoughts.in_content}));
      options.thoughts.emplace_back(traits.reasoning, prompt->opens_reasoning);
      options.warning = plan->warning;
    }
    if (prompt->recordable) {
      chat::TurnRecorderOptions recording = recorder_options(request.conversation, *model, name_space);
      recording.text_in_blocks = dialect == Dialect::kAnthropic;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        options.recorders.push_back(std::make_unique<chat::TurnRecorder>(recording));
      }
    }
    if (options_.idle_prefill && request.options.use_cache && request.options.n == 1 && prompt->recordable) {
      // Weak: the engine holds the answer, and must end when the slot lets go of the model.
      options.on_turn = [this, weak = std::weak_ptr(model), conversation = request.conversation, name_space,
                         family = request.options.cache_family,
                         hidden = request.options.thoughts.hidden](chat::Message turn) {
        if (hidden) turn.reasoning.clear();  // the client cannot send back what it has not seen
        const std::lock_guard lock(mutex_);
        // Of several, the newest is the likeliest to go on; the older ones have what they have.
        follow_up_ = FollowUp{weak, conversation, name_space, family, std::move(turn)};
        wake_.notify_all();
      };
    }
    options.token_bytes = [tokenizer = model->tokenizer](TokenId token) { return tokenizer->bytes(token); };
    options.replayed_tokens = prompt->replayed_tokens;
    options.explain_cache = request.options.explain_cache;
    if (options.explain_cache) options.parts = model->renderer->parts(request.conversation, *prompt);
    options.builder =
        dialect == Dialect::kAnthropic
            ? api::make_anthropic_response(response_options(request.options, *model, requests.size()))
            : api::make_openai_chat_response(response_options(request.options, *model, requests.size()));
    options.dialect = dialect;
    options.stream = request.options.stream;
    options.label = label;
    options.model = request.options.model.empty() ? slot_.id() : request.options.model;
    launch(std::move(options), std::move(requests), *model, exchange);
  }

  struct ParserWish {
    Dialect dialect;
    bool holds_calls;          // ConstraintPlan::holds_calls
    bool thoughts_in_content;  // as text, with their tags
  };

  static std::unique_ptr<chat::OutputParser> parser_for(const chat::Conversation& conversation,
                                                        const chat::TemplateTraits& traits,
                                                        const chat::RenderedPrompt& prompt,
                                                        const ParserWish& wish) {
    chat::OutputParserOptions options;
    options.format = traits.format;
    options.reasoning = traits.reasoning;
    if (conversation.tool_choice.kind != chat::ToolChoice::Kind::kNone) {
      options.tools = conversation.tools;
    }
    for (const chat::Marker& marker : traits.markers) {
      if (!marker.ends_answer) options.markers.push_back(marker.text);
    }
    options.declared_only = wish.holds_calls;
    options.starts_in_reasoning = prompt.opens_reasoning;
    if (wish.thoughts_in_content) chat::leave_thoughts_in_text(options);
    options.starts_in_call = prompt.opens_call;
    if (traits.format.ids == chat::IdRule::kNine) {
      constexpr std::size_t kNine = 9;
      options.make_id = [] { return random_id().substr(0, kNine); };
      return std::make_unique<chat::OutputParser>(std::move(options));
    }
    options.make_id = [prefix = wish.dialect == Dialect::kAnthropic ? "toolu_" : "call_"] {
      return prefix + random_id();
    };
    return std::make_unique<chat::OutputParser>(std::move(options));
  }

  void completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const Dialect dialect = Dialect::kOpenAi;
    auto parsed = api::parse_openai_completions(request.body);
    if (!parsed.ok()) return exchange->respond(error_response(dialect, parsed.error()));
    const auto model = model_for(parsed->options.model, dialect, exchange);
    if (!model) return;
    place_in_cache(request, parsed->options);
    std::vector<engine::Request> requests;
    std::vector<std::string> echoes;
    AnswerOptions options;
    // A prompt as it is: no thought and no calls.
    static const chat::TemplateTraits kPlain;
    const chat::ConstraintContext constraining{model->grammars, model->tokenizer, &kPlain};
    chat::Conversation plain;
    plain.response_format = parsed->format;
    for (const auto& prompt : parsed->prompts) {
      std::vector<TokenId> tokens;
      if (const auto* text = std::get_if<std::string>(&prompt)) {
        if (model->tokenizer->adds_bos()) tokens.push_back(model->tokenizer->bos());
        const auto encoded = model->tokenizer->encode(*text, text::SpecialText::kParse);
        tokens.insert(tokens.end(), encoded.begin(), encoded.end());
      } else {
        tokens = std::get<std::vector<TokenId>>(prompt);
      }
      for (std::uint32_t i = 0; i < parsed->options.n; ++i) {
        auto engine_request = engine_request_for(parsed->options, tokens, i, *model, dialect);
        if (!engine_request.ok()) return exchange->respond(error_response(dialect, engine_request.error()));
        auto plan = chat::make_constraint(constraining, plain);
        if (!plan.ok()) return exchange->respond(error_response(dialect, plan.error()));
        engine_request->constraint = std::move(plan->constraint);
        options.warning = plan->warning;
        requests.push_back(std::move(*engine_request));
        if (parsed->echo) {
          const auto* text = std::get_if<std::string>(&prompt);
          echoes.push_back(text != nullptr ? *text : model->tokenizer->decode(tokens, true));
        }
      }
    }
    options.explain_cache = parsed->options.explain_cache;
    if (options.explain_cache) options.parts.push_back({"prompt", 0, "prompt"});
    options.builder = api::make_openai_completions_response(
        response_options(parsed->options, *model, requests.size()), std::move(echoes));
    options.dialect = dialect;
    options.stream = parsed->options.stream;
    options.label = request.path;
    options.model = parsed->options.model.empty() ? slot_.id() : parsed->options.model;
    launch(std::move(options), std::move(requests), *model, exchange);
  }

  Result<engine::Request> engine_request_for(const api::GenerationOptions& options,
                                             const std::vector<TokenId>& prompt, std::uint32_t answer,
                                             const LoadedModel& model, Dialect dialect) const {
    const std::uint32_t context = model.engine->context_length();
    if (prompt.empty()) return make_error(ErrorCode::kInvalidArgument, "prompt: is empty", "prompt");
    if (prompt.size() >= context) return api::prompt_too_long(dialect, prompt.size(), context);
    engine::Request request;
    request.prompt = prompt;
    request.sampling = options.sampling;
    if (!options.temperature_given) request.sampling.temperature = options_.temperature;
    if (!options.top_p_given) request.sampling.top_p = options_.top_p;
    // Each answer to a prompt has a seed of its own, the first the given one.
    request.sampling.seed = (options.seed_given ? options.sampling.seed : random_seed()) + answer;
    const auto room = static_cast<std::uint32_t>(context - prompt.size());
    request.max_tokens = std::min(options.max_tokens.value_or(room), room);
    request.stop = options.stop;
    request.logprobs = options.logprobs;
    request.ignore_eos = options.ignore_eos;
    request.use_cache = options.use_cache;
    request.cache_namespace = options.cache_namespace;
    request.cache_family = options.cache_family;
    return request;
  }

  api::ResponseOptions response_options(const api::GenerationOptions& options, const LoadedModel& model,
                                        std::size_t choices) const {
    api::ResponseOptions r;
    r.id = random_id();
    r.created = static_cast<std::int64_t>(std::time(nullptr));
    r.model = options.model.empty() ? slot_.id() : options.model;
    r.fingerprint = model.fingerprint;
    r.stream = options.stream;
    r.include_usage = options.include_usage;
    r.choices = static_cast<std::uint32_t>(choices);
    r.answers_a_prompt = options.n;
    r.logprobs = options.logprobs;
    r.thoughts = options.thoughts.hidden         ? api::ThoughtField::kHidden
                 : options.thoughts.as_reasoning ? api::ThoughtField::kBoth
                                                 : options_.thoughts;
    r.token_bytes = [tokenizer = model.tokenizer](TokenId token) { return tokenizer->bytes(token); };
    return r;
  }

  void launch(AnswerOptions options, std::vector<engine::Request> requests, const LoadedModel& model,
              const std::shared_ptr<Exchange>& exchange) {
    const auto answer = std::make_shared<Answer>(std::move(options), exchange, metrics_);
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(answers_, [](const std::weak_ptr<Answer>& a) { return a.expired(); });
      answers_.push_back(answer);
    }
    answer->start(*model.engine, std::move(requests));
  }

  // An answered conversation, whose next prompt is read ahead.
  struct FollowUp {
    std::weak_ptr<const LoadedModel> model;
    chat::Conversation conversation;
    std::string cache_namespace;
    std::string cache_family;
    chat::Message turn;
  };

  static void read_ahead(FollowUp next) {
    const auto model = next.model.lock();
    if (!model) return;
    engine::Request request;
    request.prompt = model->renderer->next_prompt(std::move(next.conversation), std::move(next.turn),
                                                  {model->replay.get(), next.cache_namespace});
    request.background = true;
    request.max_tokens = 1;
    request.cache_namespace = std::move(next.cache_namespace);
    request.cache_family = std::move(next.cache_family);
    if (request.prompt.empty() || request.prompt.size() >= model->engine->context_length()) return;
    // Refused or given up: then it is read when it is asked for.
    (void)model->engine->submit(std::move(request), [](const engine::Event&) {});
  }

  // Keeps silent streams alive, and reads ahead.
  void tick() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_ || follow_up_; });
      if (stopping_) return;
      if (follow_up_) {
        FollowUp next = std::move(*follow_up_);
        follow_up_.reset();
        lock.unlock();
        read_ahead(std::move(next));
        lock.lock();
        continue;
      }
      const std::vector<std::weak_ptr<Answer>> answers = answers_;
      lock.unlock();
      const auto now = std::chrono::steady_clock::now();
      for (const auto& weak : answers) {
        if (const auto answer = weak.lock()) answer->tick(now);
      }
      lock.lock();
    }
  }

  ServerOptions options_;
  ModelSlot& slot_;
  ServerMetrics metrics_;
  CacheAdmin cache_admin_{slot_};
  std::unique_ptr<HttpServer> http_;
  std::thread ticker_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<std::weak_ptr<Answer>> answers_;
  std::optional<FollowUp> follow_up_;
};

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, ModelSlot& slot) {
  auto impl = std::make_unique<Impl>(std::move(options), slot);
  KVASIR_RETURN_IF_ERROR(impl->start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
std::uint16_t Server::port() const {
  return impl_->port();
}
bool Server::stop(double seconds) {
  return impl_->stop(seconds);
}

}  // namespace kvasir::server
