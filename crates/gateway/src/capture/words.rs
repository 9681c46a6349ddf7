//! The words of the dialects, which may stand in a recording that has nothing of what was said: whatever else stands in their
//! places may have been chosen by a person.

/// Whether a dialect has a field of this name.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.split(' ').any(|field| field == name)
}

/// Whether programs choose this word: a role, a type, a reason, a tier.
pub(super) fn is_value(word: &str) -> bool {
    let word = without_date(word);
    VALUES.split(' ').any(|value| value == word)
}

/// Types of tools have one at their end: `web_search_20250305`.
fn without_date(word: &str) -> &str {
    let Some((name, date)) = word.rsplit_once('_') else { return word };
    if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) { name } else { word }
}

/// Names of fields.
const FIELDS: &str = "\
    abort_reason accepted_prediction_tokens action allowed_domains allowed_tools annotation annotation_index \
    annotations approval_request_id args arguments audio audio_tokens authorization avgLogprobs background \
    basePrice billing blocked_domains budget_tokens cacheTokensDetails cache_control cache_creation \
    cache_creation_input_tokens cache_read_input_tokens cache_write_tokens cachedContent cachedContentTokenCount \
    cached_tokens call_id caller candidateCount candidates candidatesTokenCount candidatesTokensDetails choices \
    citation citationMetadata citations code codeExecution codeExecutionResult code_execution completed_at \
    completion_tokens completion_tokens_details connector_id container container_id content content_block \
    content_filters content_index contents context context_management conversation cost cost_details createTime \
    created created_at custom data defer_loading delta description detail details dimensions display displayName \
    effort embedding embeddings encoding_format encrypted_content ephemeral_1h_input_tokens \
    ephemeral_5m_input_tokens error exact executableCode execution expireTime extra_content file fileData \
    fileSearch file_data file_id filename files filters finalPrice finishMessage finishReason finish_reason format \
    frequencyPenalty frequency_penalty function functionCall functionCallingConfig functionDeclarations \
    functionResponse function_call function_response functions generateContentRequest generate_summary \
    generationConfig googleSearch google_search groundingMetadata headers id image image_tokens image_url images \
    include includeThoughts include_reasoning include_thoughts include_usage incomplete_details index inference_geo \
    inlineData inline_data input inputTokens input_audio input_schema input_tokens input_tokens_details \
    instructions is_byok is_error item item_id iterations labels logit_bias logprobs maxOutputTokens \
    max_completion_tokens max_content_tokens max_num_results max_output_tokens max_tokens max_tool_calls max_uses \
    mcp_servers mediaResolution media_type message messages metadata mimeType modalities modality mode model \
    modelVersion model_name models moderation n name namespace native_finish_reason nextPageToken obfuscation \
    object output outputTokens output_compression output_config output_format output_index output_schema \
    output_tokens output_tokens_details outputs page_age parallel_tool_calls param parameters part partial_json \
    parts phase plugins prediction presencePenalty presence_penalty previous_response_id priceToPay product prompt \
    promptFeedback promptTokenCount promptTokenDetails promptTokensDetails prompt_cache_breakpoint \
    prompt_cache_hit_tokens prompt_cache_key prompt_cache_miss_tokens prompt_cache_options prompt_cache_retention \
    prompt_tokens prompt_tokens_details provider providerName quality queries ranking_options reasoning \
    reasoning_content reasoning_details reasoning_effort reasoning_tokens refusal rejected_prediction_tokens \
    request_id requests require_approval response responseId responseJsonSchema responseLogprobs responseMimeType \
    responseModalities responseSchema response_format response_id response_mime_type response_schema result results \
    retrieved_at return_code return_value role route safetyRatings safetySettings safety_identifier \
    search_content_types search_context_size seed sequence_number server_description server_label server_name \
    server_tool_use server_url serviceTier service_tier signature size source speed status status_details stderr \
    stdout stop stopSequences stop_details stop_reason stop_sequence stop_sequences store stream stream_options \
    strict suffix summary summary_index system systemInstruction system_fingerprint system_instruction task_budget \
    temperature text text_tokens thinking thinkingBudget thinkingConfig thinkingLevel thinking_budget \
    thinking_level thinking_tokens thought thoughtSignature thought_signature thoughtsTokenCount title tokenCount \
    tool toolCall toolConfig toolResponse toolUsePromptTokenCount toolUsePromptTokensDetails tool_call_id \
    tool_calls tool_choice tool_config tool_name tool_references tool_usage tool_use_id tools topK topP top_k \
    top_logprobs top_p totalInputTokens totalOutputTokens totalTokenCount totalTokens total_tokens transforms \
    truncation ttl type updateTime url urlContext urlContextMetadata usage usageMetadata user user_location \
    vector_store_ids verbosity version videoMetadata video_url web_fetch_requests web_search web_search_options \
    web_search_requests";

/// What stands in fields whose words are of a list.
const VALUES: &str = "\
    BLOCKLIST DEADLINE_EXCEEDED FAILED_PRECONDITION FINISH_REASON_UNSPECIFIED IMAGE_SAFETY INTERNAL \
    INVALID_ARGUMENT LANGUAGE MALFORMED_FUNCTION_CALL MAX_TOKENS NOT_FOUND OTHER PERMISSION_DENIED \
    PROHIBITED_CONTENT RECITATION RESOURCE_EXHAUSTED SAFETY SPII STOP TOO_MANY_TOOL_CALLS UNAUTHENTICATED \
    UNAVAILABLE UNEXPECTED_TOOL_CALL adaptive advisor advisor_redacted_result advisor_result advisor_tool_result \
    any api_error application/json application/pdf assistant audio/aac audio/flac audio/mp3 audio/mpeg audio/ogg \
    audio/pcm audio/wav authentication_error auto base64 bash bash_code_execution_result \
    bash_code_execution_tool_result batch billing_error body_too_large cancelled chat.completion \
    chat.completion.chunk citations_delta code_execution code_execution_result code_execution_tool_result \
    code_interpreter code_interpreter_call compaction complete completed computer computer_call \
    computer_call_output computer_use_preview container_upload content_block_delta content_block_start \
    content_block_stop content_filter context_length_exceeded custom custom_tool_call custom_tool_call_output \
    decimal_below_min_value default developer disabled document draining embedding enabled end_turn ending \
    ephemeral error failed file file_search file_search_call flex forbidden function function_call \
    function_call_output high http_error image image/gif image/heic image/heif image/jpeg image/png image/webp \
    image_generation image_generation_call image_url in_progress incomplete input_audio input_file input_image \
    input_json_delta input_text insufficient_credits insufficient_quota insufficient_system_resource \
    integer_below_min_value internal invalid_api_key invalid_image_format invalid_image_url invalid_request_error \
    invalid_value ip_not_allowed item_reference json_object json_schema length list local_shell local_shell_call \
    local_shell_call_output low max max_price_exceeded max_tokens mcp mcp_approval_request mcp_approval_response \
    mcp_call mcp_list_tools mcp_tool_result mcp_tool_use medium memory message message_delta message_start \
    message_stop method_not_allowed minimal missing_required_parameter model model_context_window_exceeded \
    model_not_allowed model_not_found namespace no_provider none not_found not_found_error original output_text \
    overloaded overloaded_error own_key_closed pause_turn permission_error ping priority provider_not_configured \
    queued rate_limit_error rate_limit_exceeded reasoning reasoning_text redacted_thinking refusal request_timeout \
    request_too_large required response response.audio.delta response.audio.done response.audio.transcript.delta \
    response.audio.transcript.done response.code_interpreter_call.completed \
    response.code_interpreter_call.in_progress response.code_interpreter_call.interpreting \
    response.code_interpreter_call_code.delta response.code_interpreter_call_code.done response.compaction \
    response.completed response.content_part.added response.content_part.done response.created \
    response.custom_tool_call_input.delta response.custom_tool_call_input.done response.failed \
    response.file_search_call.completed response.file_search_call.in_progress response.file_search_call.searching \
    response.function_call_arguments.delta response.function_call_arguments.done \
    response.image_generation_call.completed response.image_generation_call.generating \
    response.image_generation_call.in_progress response.image_generation_call.partial_image response.in_progress \
    response.incomplete response.input_tokens response.mcp_call.completed response.mcp_call.failed \
    response.mcp_call.in_progress response.mcp_call_arguments.delta response.mcp_call_arguments.done \
    response.mcp_list_tools.completed response.mcp_list_tools.failed response.mcp_list_tools.in_progress \
    response.output_item.added response.output_item.done response.output_text.annotation.added \
    response.output_text.delta response.output_text.done response.queued response.reasoning_summary_part.added \
    response.reasoning_summary_part.done response.reasoning_summary_text.delta response.reasoning_summary_text.done \
    response.reasoning_text.delta response.reasoning_text.done response.refusal.delta response.refusal.done \
    response.web_search_call.completed response.web_search_call.in_progress response.web_search_call.searching \
    scale scope_missing search_result searching server_error server_tool_use shell signature_delta standard \
    standard_only stop stop_sequence summary_text system text text/csv text/html text/markdown text/plain \
    text_completion text_delta text_editor text_editor_code_execution_tool_result thinking thinking_delta \
    timeout_error too_many_requests tool tool_addition tool_calls tool_reference tool_result tool_search \
    tool_search_call tool_search_output tool_search_tool_bm25 tool_search_tool_regex tool_search_tool_result \
    tool_search_tool_search_result tool_use unknown_model unknown_parameter unknown_provider unsupported_file \
    unsupported_parameter unsupported_value upstream_error upstream_overloaded upstream_rate_limited \
    upstream_timeout upstream_unreachable url user video/mp4 video/mpeg video/quicktime video/webm video_url \
    web_fetch web_fetch_result web_fetch_tool_result web_search web_search_call web_search_preview \
    web_search_result web_search_tool_result web_search_tool_result_error xhigh";
