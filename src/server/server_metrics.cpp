#include "server/server_metrics.h"

#include "base/machine.h"

namespace kvasir::server {

std::string ServerMetrics::text(const engine::Engine* engine) const {
  MetricsWriter out;
  const engine::EngineStats s = engine != nullptr ? engine->stats() : engine::EngineStats{};
  const auto n = [](auto v) { return static_cast<double>(v); };
  out.gauge("vllm:num_requests_running", "Requests being computed.", n(s.running));
  out.gauge("vllm:num_requests_waiting", "Requests in the queue.", n(s.waiting));
  const double used = n(s.blocks_total) - n(s.blocks_free) - n(s.blocks_cached);
  out.gauge("vllm:kv_cache_usage_perc", "Share of KV blocks in use by running requests.",
            s.blocks_total == 0 ? 0 : used / n(s.blocks_total));
  out.counter("vllm:prefix_cache_queries", "Prompt tokens looked up in the prefix cache.",
              n(s.prompt_tokens));
  out.counter("vllm:prefix_cache_hits", "Prompt tokens found in the prefix cache.", n(s.cached_tokens));
  out.counter("vllm:prompt_tokens_total", "Prompt tokens of ended requests.", n(s.prompt_tokens));
  out.counter("vllm:generation_tokens_total", "Tokens generated.", n(s.generated_tokens));
  out.counter("vllm:num_preemptions_total", "Requests set back for want of memory; they go on later.",
              n(s.preemptions));
  out.counter("kvasir:requests_finished_total", "Requests answered to their end.", n(s.requests_finished));
  out.counter("kvasir:requests_failed_total", "Requests ended by an error.", n(s.requests_failed));
  out.counter("kvasir:requests_cancelled_total", "Requests whose client went away.", n(s.requests_cancelled));
  out.counter("kvasir:http_requests_total", "HTTP requests received.", n(http_requests.load()));
  out.counter("kvasir:replayed_tokens_total", "Prompt tokens of earlier answers, as they were sampled.",
              n(replayed_tokens.load()));
  out.counter("kvasir:foreign_thoughts_total", "Thoughts left out of prompts: not signed by this server.",
              n(foreign_thoughts.load()));
  out.counter("kvasir:prefill_tokens_total", "Prompt tokens computed.", n(s.prefill_tokens));
  out.counter("kvasir:evicted_blocks_total", "KV blocks evicted from the prefix cache.", n(s.evicted_blocks));
  out.counter("kvasir:steps_total", "Steps of the engine.", n(s.steps));
  out.counter("vllm:spec_decode_num_drafts", "Guesses of what an answer goes on with.", n(s.guesses));
  out.counter("vllm:spec_decode_num_draft_tokens", "Tokens of these guesses.", n(s.guessed_tokens));
  out.counter("vllm:spec_decode_num_accepted_tokens", "Of them, those that the model would have written.",
              n(s.kept_guesses));
  out.gauge("kvasir:largest_batch", "Most sequences in one step so far.", n(s.largest_batch));
  out.gauge("kvasir:kv_blocks", "KV blocks in all.", n(s.blocks_total));
  out.gauge("kvasir:kv_blocks_free", "KV blocks that hold nothing.", n(s.blocks_free));
  out.gauge("kvasir:kv_blocks_cached", "KV blocks held by the prefix cache alone.", n(s.blocks_cached));
  out.gauge("kvasir:kv_block_bytes", "Bytes of a KV block.", n(s.block_bytes));
  out.counter("kvasir:idle_prefill_tokens_total", "Prompt tokens computed ahead of their request.",
              n(s.idle_prefill_tokens));
  out.counter("kvasir:loaded_tokens_total", "Prompt tokens whose KV came from disk.", n(s.loaded_tokens));
  if (const auto disk = engine != nullptr ? engine->disk_stats() : std::nullopt) {
    out.gauge("kvasir:disk_bytes", "Space that the cache on disk takes.", n(disk->bytes));
    out.gauge("kvasir:disk_capacity_bytes", "Space that it may take.", n(disk->capacity_bytes));
    out.gauge("kvasir:disk_records", "Records of this model that can be served.", n(disk->records));
    out.gauge("kvasir:disk_conversations", "Conversations of this model on disk.", n(disk->leaves));
    out.gauge("kvasir:disk_tokens", "Tokens of this model on disk.", n(disk->tokens));
    out.gauge("kvasir:disk_read_only", "1 when another process writes the cache.", disk->read_only ? 1 : 0);
    out.gauge("kvasir:disk_writes_stopped", "1 after a write has failed.", disk->writes_stopped ? 1 : 0);
    out.counter("kvasir:disk_written_bytes_total", "Bytes written, headers and padding included.",
                n(disk->appended_bytes));
    out.counter("kvasir:disk_written_kv_bytes_total", "Of them, KV.", n(disk->appended_payload_bytes));
    out.counter("kvasir:disk_read_bytes_total", "KV bytes read.", n(disk->read_bytes));
    out.counter("kvasir:disk_evicted_records_total", "Records that made room for others.",
                n(disk->evicted_records));
    out.counter("kvasir:disk_skipped_unsound_total", "Records whose checksums did not hold.",
                n(disk->skipped_torn));
    out.counter("kvasir:disk_skipped_foreign_total", "Segments of other models, versions or byte orders.",
                n(disk->skipped_foreign));
    out.counter("kvasir:disk_skipped_orphans_total", "Records whose beginning is gone.",
                n(disk->skipped_orphans));
  }
  out.gauge("process_resident_memory_bytes", "Resident memory.", n(resident_bytes()));
  first_token_seconds.write(out, "vllm:time_to_first_token_seconds", "From request to first token.");
  token_seconds.write(out, "vllm:time_per_output_token_seconds",
                      "Mean time of an answer's tokens after the first.");
  request_seconds.write(out, "vllm:e2e_request_latency_seconds", "From request to end of answer.");
  return out.take();
}

}  // namespace kvasir::server
