#include "server/server.h"

#include <boost/json.hpp>
#include <optional>

#include "api/anthropic_messages.h"
#include "api/errors.h"
#include "api/models.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"
#include "api/openai_responses.h"
#include "api/openai_responses_response.h"
#include "api/response_builder.h"
#include "base/version.h"
#include "chat/tool_constraint.h"
#include "server/access.h"
#include "server/answer.h"
#include "server/anthropic_notes.h"
#include "server/cache_admin.h"
#include "server/completion_prompt.h"
#include "server/cors.h"
#include "server/generation.h"
#include "server/pdf_texts.h"
#include "server/request_log.h"
#include "server/response_store.h"
#include "server/server_metrics.h"
#include "server/ticker.h"
#include "server/tokenize_routes.h"
#include "server/turn_recording.h"
#include "server/url.h"

namespace kvasir::server {
namespace {

namespace json = boost::json;
using api::Dialect;

constexpr std::string_view kOneResponse = "/v1/responses/";
constexpr std::size_t kStoredResponsesBytes = std::size_t{64} << 20U;

Dialect dialect_of(const HttpRequest& request) {
  const bool anthropic =
      request.path.starts_with("/v1/messages") || !request.header("anthropic-version").empty();
  return anthropic ? Dialect::kAnthropic : Dialect::kOpenAi;
}

// A status that the server itself finds, in the API's shape.
HttpResponse shaped_error(int status, const std::string& sentence, const HttpRequest& request) {
  ErrorCode code = ErrorCode::kInvalidArgument;
  if (status == 413) code = ErrorCode::kTooLarge;
  if (status == 404 || status == 405) code = ErrorCode::kNotFound;
  HttpResponse response = error_response(dialect_of(request), make_error(code, sentence));
  response.status = status;
  return response;
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, ModelSlot& slot)
      : options_(std::move(options)),
        access_(options_.api_keys, options_.share_cache),
        slot_(slot),
        pdf_texts_(options_.pdf_worker) {}

  ~Impl() {
    stop(0);
    http_.reset();
  }

  Status start() {
    HttpOptions http = options_.http;
    KVASIR_ASSIGN_OR_RETURN(cors_, Cors::create(options_.cors_origins, http.host));
    http.common_headers = [this](const HttpRequest& request) { return cors_.headers_for(request); };
    http.guard = [this](const HttpRequest& request) { return guard(request); };
    http.shape_error = shaped_error;
    auto server =
        HttpServer::start(std::move(http), [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
          handle(std::move(request), std::move(exchange));
        });
    if (!server.ok()) return server.error();
    http_ = std::move(server).value();
    ticker_.start();
    return {};
  }

  std::uint16_t port() const { return http_->port(); }

  bool stop(double seconds) {
    if (!http_ || !ticker_.running()) return true;
    cache_admin_.stop();
    const bool finished = http_->drain(seconds);
    pdf_texts_.stop();
    slot_.clear();  // what still runs fails with kUnavailable, and its clients are told
    if (!finished) http_->drain(1);
    ticker_.stop();
    return finished;
  }

 private:
  std::unique_ptr<HttpResponse> guard(const HttpRequest& request) const {
    // A preflight carries no key, and is answered by the handler.
    if (Cors::is_preflight(request)) return nullptr;
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (!reads && !cors_.allows(request)) {
      return refused(request, make_error(ErrorCode::kForbidden, Cors::refusal(request), "origin"));
    }
    const Status known = access_.check(request);
    if (known.ok()) return nullptr;
    return refused(request, known.error());
  }

  std::unique_ptr<HttpResponse> refused(const HttpRequest& request, const Error& error) const {
    auto refusal = std::make_unique<HttpResponse>(error_response(dialect_of(request), error));
    RequestRecord record(request, new_request_id(), options_.request_log);
    record.status(refusal->status);
    record.finish();
    return refusal;
  }

  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
    ++metrics_.http_requests;
    exchange = logged(request, new_request_id(), options_.request_log, std::move(exchange));
    route_safely(request, exchange);
  }

  void route_safely(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
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
        {"POST", "/v1/responses", &Impl::responses},
        {"POST", "/v1/messages", &Impl::messages},
        {"POST", "/v1/messages/count_tokens", &Impl::count_tokens},
        {"POST", "/tokenize", &Impl::tokenize},
        {"POST", "/detokenize", &Impl::detokenize},
        {"POST", "/apply-template", &Impl::apply_template},
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
    if (Cors::is_preflight(request)) return exchange->respond(cors_.answer_preflight(request));
    const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
    std::string_view allowed;
    for (const Route& r : kRoutes) {
      if (r.path != request.path) continue;
      allowed = r.method == "GET" ? "GET, HEAD" : r.method;
      if (r.method == method) return (this->*r.serve)(request, exchange);
    }
    if (method == "GET" && request.path.starts_with("/v1/models/")) return one_model(request, exchange);
    if (request.path.starts_with(kOneResponse)) return one_response(request, exchange);
    const std::string what = request.method + " " + request.path;
    if (allowed.empty())
      return exchange->respond(shaped_error(404, what + ": there is no such route", request));
    HttpResponse refusal =
        shaped_error(405, what + ": this method is not allowed here; use " + std::string(allowed), request);
    refusal.headers.emplace_back("Allow", allowed);
    exchange->respond(std::move(refusal));
  }

  void admin_cache(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    cache_admin_.handle(request, access_.namespace_for(request, {}), exchange);
  }

  void root(const HttpRequest& /*request*/, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({200,
                       {{"Content-Type", "text/plain; charset=utf-8"}},
                       std::string("Kvasir ") + kVersion + " serves " + slot_.id() +
                           "\nPOST /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages; GET "
                           "/v1/models, /health, "
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
    const Dialect dialect = dialect_of(request);
    std::vector<api::ModelEntry> entries{entry()};
    if (dialect == Dialect::kOpenAi)
      return exchange->respond(api_response(dialect, api::models_body(dialect, entries)));
    for (const std::string& name : slot_.anthropic_names()) {
      entries.push_back(entries.front());
      entries.back().alias = name;
    }
    const auto page =
        api::parse_model_page(query_value(request.query, "limit"), query_value(request.query, "after_id"),
                              query_value(request.query, "before_id"), entries);
    if (!page.ok()) return exchange->respond(error_response(dialect, page.error()));
    exchange->respond(api_response(dialect, api::models_body(dialect, entries, *page)));
  }

  void one_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const std::string name =
        percent_decoded(std::string_view(request.path).substr(std::string_view("/v1/models/").size()));
    if (!slot_.answers_to(name)) {
      return exchange->respond(error_response(dialect_of(request), api::unknown_model(name, slot_.id())));
    }
    exchange->respond(api_response(dialect_of(request), api::model_body(dialect_of(request), entry())));
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
    auto parsed = api::parse_openai_chat(request.body, pdfs_for(request));
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kOpenAi, parsed.error()));
    if (parsed->awaits_documents) return route_later(request, exchange);
    access_.place_in_cache(request, parsed->options);
    answer_chat(std::move(*parsed), Dialect::kOpenAi, request.path, exchange, api::make_openai_chat_response);
  }

  void responses(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const std::string name_space = access_.namespace_for(request, {});
    ResponseTurns before;
    auto parsed = api::parse_openai_responses(
        request.body,
        [&](const std::string& id) -> std::optional<json::array> {
          auto found = responses_.turns(name_space, id);
          if (!found) return std::nullopt;
          before = std::move(*found);
          return items_of(before);
        },
        pdfs_for(request));
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kOpenAi, parsed.error()));
    if (parsed->chat.awaits_documents) return route_later(request, exchange);
    access_.place_in_cache(request, parsed->chat.options);
    api::ResponsesOptions options{std::move(parsed->echo), parsed->encrypted_thoughts, {}};
    if (parsed->store) {
      options.on_response = [this, name_space, before = std::move(before),
                             items = std::move(parsed->items)](const json::object& response) mutable {
        const json::array& output = response.at("output").get_array();
        items.insert(items.end(), output.begin(), output.end());
        responses_.put(name_space, std::string(response.at("id").get_string()), std::move(before),
                       std::move(items), response);
      };
    }
    answer_chat(std::move(parsed->chat), Dialect::kOpenAi, request.path, exchange,
                [&options](api::ResponseOptions common) {
                  return api::make_openai_responses_response(std::move(common), std::move(options));
                });
  }

  // GET and DELETE of a response that is kept.
  void one_response(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const std::string name_space = access_.namespace_for(request, {});
    const std::string id = percent_decoded(std::string_view(request.path).substr(kOneResponse.size()));
    if (request.method == "GET" || request.method == "HEAD") {
      if (const auto found = responses_.response(name_space, id))
        return exchange->respond(json_response(200, json::serialize(*found)));
    } else if (request.method != "DELETE") {
      return exchange->respond(
          shaped_error(405, request.method + " " + request.path + ": use GET or DELETE", request));
    } else if (responses_.remove(name_space, id)) {
      const json::object gone{{"id", id}, {"object", "response"}, {"deleted", true}};
      return exchange->respond(json_response(200, json::serialize(gone)));
    }
    exchange->respond(shaped_error(404, "there is no response \"" + id + "\" here (any more)", request));
  }

  void messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    auto parsed = api::parse_anthropic_messages(request.body, signer_for(request), pdfs_for(request));
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kAnthropic, parsed.error()));
    if (parsed->awaits_documents) return route_later(request, exchange);
    metrics_.foreign_thoughts += parsed->anthropic.foreign_thoughts.size();
    access_.place_in_cache(request, parsed->options);
    answer_chat(std::move(*parsed), Dialect::kAnthropic, request.path, exchange, {});
  }

  api::ThoughtSigner signer_for(const HttpRequest& request) const {
    return api::ThoughtSigner(access_.namespace_for(request, {}));
  }

  api::PdfReader pdfs_for(const HttpRequest& request) {
    return pdf_texts_.reader(access_.namespace_for(request, {}));
  }

  // A request with a file that has not been read yet: the same once more, on a thread that may wait for it.
  void route_later(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const Status taken =
        pdf_texts_.later([this, request, exchange] { route_safely(request, exchange); }, request.body.size());
    if (!taken.ok()) exchange->respond(error_response(dialect_of(request), taken.error()));
  }

  void count_tokens(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    constexpr Dialect kDialect = Dialect::kAnthropic;
    auto parsed = api::parse_anthropic_count_tokens(request.body, signer_for(request), pdfs_for(request));
    if (!parsed.ok()) return exchange->respond(error_response(kDialect, parsed.error()));
    if (parsed->awaits_documents) return route_later(request, exchange);
    const auto model = model_for(parsed->options.model, kDialect, exchange);
    if (!model) return;
    const auto count = token_counter(*model, access_.namespace_for(request, parsed->options.cache_salt));
    auto tokens = count(parsed->conversation);
    std::optional<std::size_t> original;
    if (tokens.ok() && parsed->anthropic.edits) {
      original = *tokens;
      const auto edited = api::apply_context_edits(*parsed->anthropic.edits, parsed->conversation, count);
      if (!edited.ok()) return exchange->respond(error_response(kDialect, edited.error()));
      if (!edited->empty()) tokens = count(parsed->conversation);
    }
    if (!tokens.ok()) return exchange->respond(error_response(kDialect, tokens.error()));
    exchange->respond(api_response(kDialect, api::anthropic_count_body(*tokens, original)));
  }

  void tokenize(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    answer_at_once(api::parse_tokenize(request.body, pdfs_for(request)), tokenize_response, request,
                   exchange);
  }
  void detokenize(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    answer_at_once(api::parse_detokenize(request.body), detokenize_response, request, exchange);
  }
  void apply_template(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    answer_at_once(api::parse_apply_template(request.body, pdfs_for(request)), apply_template_response,
                   request, exchange);
  }

  static const std::string& model_of(const api::TemplateRequest& request) {
    return request.chat.options.model;
  }
  template <class Parsed>
  static const std::string& model_of(const Parsed& request) {
    return request.model;
  }

  static bool awaits_documents(const api::TemplateRequest& request) { return request.chat.awaits_documents; }
  static bool awaits_documents(const api::TokenizeRequest& request) {
    return request.conversation && request.conversation->chat.awaits_documents;
  }
  static bool awaits_documents(const api::DetokenizeRequest& /*request*/) { return false; }

  // What asks nothing of the engine.
  template <class Parsed, class Respond>
  void answer_at_once(const Result<Parsed>& parsed, const Respond& respond, const HttpRequest& request,
                      const std::shared_ptr<Exchange>& exchange) {
    if (!parsed.ok()) return exchange->respond(error_response(Dialect::kOpenAi, parsed.error()));
    if (awaits_documents(*parsed)) return route_later(request, exchange);
    const auto model = model_for(model_of(*parsed), Dialect::kOpenAi, exchange);
    if (model) exchange->respond(respond(*parsed, *model));
  }

  // OpenAI's dialect has two kinds of answers; Anthropic's has one, which is made here.
  using MakeBuilder = std::function<std::unique_ptr<api::ResponseBuilder>(api::ResponseOptions)>;

  void answer_chat(api::ChatRequest request, Dialect dialect, const std::string& label,
                   const std::shared_ptr<Exchange>& exchange, const MakeBuilder& make_builder) {
    const auto model = model_for(request.options.model, dialect, exchange);
    if (!model) return;
    const std::string& name_space = request.options.cache_namespace;
    std::optional<std::vector<api::AppliedEdit>> edits;
    if (request.anthropic.edits) {
      auto applied = api::apply_context_edits(*request.anthropic.edits, request.conversation,
                                              token_counter(*model, name_space));
      if (!applied.ok()) return exchange->respond(error_response(dialect, applied.error()));
      edits = std::move(*applied);
    }
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
      auto asked = engine_request(request.options, options_, prompt->tokens, i, *model, dialect);
      if (!asked.ok()) return exchange->respond(error_response(dialect, asked.error()));
      asked->constraint = std::move(plan->constraint);
      asked->shown_tokens = traits.shown_tokens();
      requests.push_back(std::move(*asked));
      options.parsers.push_back(
          output_parser(request.conversation, traits, *prompt,
                        {dialect, plan->holds_calls, request.options.thoughts.in_content}));
      options.thoughts.emplace_back(traits.reasoning, prompt->opens_reasoning);
      options.warning = plan->warning;
    }
    for (const std::string& warning : request.warnings)
      options.warning += (options.warning.empty() ? "" : "; ") + warning;
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
                         forgets = request.options.thoughts.hidden &&
                                   dialect == Dialect::kOpenAi](chat::Message turn) {
        // A client cannot send back what it has not seen; in Anthropic's dialect the signature carries it.
        if (forgets) turn.reasoning.clear();
        ticker_.read_ahead({weak, conversation, name_space, family, std::move(turn)});
      };
    }
    options.token_bytes = [tokenizer = model->tokenizer](TokenId token) { return tokenizer->bytes(token); };
    options.replayed_tokens = prompt->replayed_tokens;
    options.explain_cache = request.options.explain_cache;
    if (options.explain_cache) options.parts = model->renderer->parts(request.conversation, *prompt);
    api::ResponseOptions response =
        response_options(request.options, options_, *model, slot_.id(), requests.size());
    if (dialect == Dialect::kAnthropic) {
      api::AnthropicNotes notes =
          anthropic_notes(request, *prompt, *model, api::anthropic_message_id(response.id), prompt_records_);
      options.request_id = notes.request_id = new_request_id();
      notes.edits = std::move(edits);
      options.builder = api::make_anthropic_response(std::move(response), std::move(notes));
    } else {
      response.tool_origins = std::move(request.tool_origins);
      options.builder = make_builder(std::move(response));
    }
    options.dialect = dialect;
    options.stream = request.options.stream;
    options.label = label;
    options.model = request.options.model.empty() ? slot_.id() : request.options.model;
    launch(std::move(options), std::move(requests), *model, exchange);
  }

  void completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    const Dialect dialect = Dialect::kOpenAi;
    auto parsed = api::parse_openai_completions(request.body);
    if (!parsed.ok()) return exchange->respond(error_response(dialect, parsed.error()));
    const auto model = model_for(parsed->options.model, dialect, exchange);
    if (!model) return;
    access_.place_in_cache(request, parsed->options);
    std::vector<engine::Request> requests;
    std::vector<std::string> echoes;
    AnswerOptions options;
    // A prompt as it is: no thought and no calls.
    static const chat::TemplateTraits kPlain;
    const chat::ConstraintContext constraining{model->grammars, model->tokenizer, &kPlain};
    chat::Conversation plain;
    plain.response_format = parsed->format;
    for (const auto& given : parsed->prompts) {
      const auto prompt = completion_prompt(given, parsed->suffix, *model->tokenizer);
      if (!prompt.ok()) return exchange->respond(error_response(dialect, prompt.error()));
      for (std::uint32_t i = 0; i < parsed->options.n; ++i) {
        auto asked = engine_request(parsed->options, options_, prompt->tokens, i, *model, dialect);
        if (!asked.ok()) return exchange->respond(error_response(dialect, asked.error()));
        auto plan = chat::make_constraint(constraining, plain);
        if (!plan.ok()) return exchange->respond(error_response(dialect, plan.error()));
        asked->constraint = std::move(plan->constraint);
        std::vector<TokenId>& stops = asked->stop_tokens;
        stops.insert(stops.end(), prompt->stop_tokens.begin(), prompt->stop_tokens.end());
        options.warning = plan->warning;
        if (parsed->echo) asked->prompt_logprobs = parsed->options.logprobs;
        requests.push_back(std::move(*asked));
        if (parsed->echo) echoes.push_back(prompt->text);
      }
    }
    options.explain_cache = parsed->options.explain_cache;
    if (options.explain_cache) options.parts.push_back({"prompt", 0, "prompt"});
    options.builder = api::make_openai_completions_response(
        response_options(parsed->options, options_, *model, slot_.id(), requests.size()), std::move(echoes));
    options.dialect = dialect;
    options.stream = parsed->options.stream;
    options.label = request.path;
    options.model = parsed->options.model.empty() ? slot_.id() : parsed->options.model;
    launch(std::move(options), std::move(requests), *model, exchange);
  }

  void launch(AnswerOptions options, std::vector<engine::Request> requests, const LoadedModel& model,
              const std::shared_ptr<Exchange>& exchange) {
    const auto answer = std::make_shared<Answer>(std::move(options), exchange, metrics_);
    ticker_.watch(answer);
    answer->start(*model.engine, std::move(requests));
  }

  ServerOptions options_;
  Access access_;
  Cors cors_;
  ModelSlot& slot_;
  ServerMetrics metrics_;
  CacheAdmin cache_admin_{slot_};
  ResponseStore responses_{kStoredResponsesBytes};
  PromptRecords prompt_records_;
  PdfTexts pdf_texts_;
  std::unique_ptr<HttpServer> http_;
  Ticker ticker_;
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
