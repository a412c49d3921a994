//! A Worker in Rust that joins its caller's trace, calls a language model in a child span, and hands the trace on.

mod opik;

use opik_edge::headers::Spelling;
use opik_edge::record::{Recorder, Span, SpanType};
use opik_edge::value::Js;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{
    Context, Env, Error, Fetch, Headers, Method, Request, RequestInit, Response, Result, console_warn, event,
};

use opik::{Opik, now, random};

/// The body of `POST /ask`.
#[derive(Deserialize, Serialize)]
struct Question {
    message: String,
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, ctx: Context) -> Result<Response> {
    let opik = Opik::from_env(&env);
    let (mut recorder, mut root) = opik.open(&request);
    let answer = handle(&request, &env, &mut recorder, &mut root).await;
    match &answer {
        Ok(answer) => root.output(answer),
        Err(error) => root.error("worker::Error", &error.to_string()),
    };
    end(&mut recorder, root);
    ctx.wait_until(opik.deliver(recorder));
    match answer {
        Ok(answer) => Response::ok(answer),
        Err(error) => Response::error(error.to_string(), 502),
    }
}

async fn handle(request: &Request, env: &Env, recorder: &mut Recorder, root: &mut Span) -> Result<String> {
    let body = JsFuture::from(request.inner().json()?).await?;
    // A JavaScript value is recorded unchanged, even if it is not a question.
    root.input(&Js(&body));
    let question: Question = serde_wasm_bindgen::from_value(body)?;

    let mut span = recorder.begin(root, "llm", now(), random());
    span.kind(SpanType::Llm).input(&question);
    let answer = complete(&question, env, &mut span).await;
    // The span ends, whether the call succeeds or fails.
    if let Err(error) = &answer {
        span.error("worker::Error", &error.to_string());
    }
    end(recorder, span);
    answer
}

async fn complete(question: &Question, env: &Env, span: &mut Span) -> Result<String> {
    let model = env.var("LLM_MODEL")?.to_string();
    span.model(&model);

    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("authorization", &format!("Bearer {}", env.secret("LLM_API_KEY")?))?;
    for (name, id) in span.headers(Spelling::Both) {
        headers.set(name, &id.to_string())?;
    }
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": question.message }] });
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_body(Some(body.to_string().into()));
    let request = Request::new_with_init(&format!("{}/chat/completions", env.var("LLM_URL")?), &init)?;
    let mut response = Fetch::Request(request).send().await?;
    if response.status_code() != 200 {
        return Err(Error::RustError(format!("{} from the model", response.status_code())));
    }

    let completion: Value = response.json().await?;
    let message = &completion["choices"][0]["message"];
    span.output(message).usage(&completion["usage"]);
    Ok(message["content"].as_str().unwrap_or_default().to_owned())
}

fn end(recorder: &mut Recorder, span: Span) {
    if let Err(reason) = recorder.end(span, now()) {
        console_warn!("a span was not recorded: {reason}");
    }
}
