//! A Worker in Rust that joins its caller's trace, calls a language model in a child span, and hands the trace on.

use opik_edge::record::SpanType;
use opik_edge::value::Js;
use opik_edge::web::{Opik, Web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Context, Env, Error, Fetch, Headers, Method, Request, RequestInit, Response, Result, event};

type Root = opik_edge::client::Root<Web>;
type Span = opik_edge::client::Active<Web>;

/// The body of `POST /ask`.
#[derive(Deserialize, Serialize)]
struct Question {
    message: String,
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, ctx: Context) -> Result<Response> {
    let mut root = Opik::from_env(env.as_ref()).open_request(request.inner());
    let delivered = root.delivered();
    ctx.wait_until(async { drop(delivered.await) });
    match handle(&request, &env, &mut root).await {
        Ok(answer) => {
            root.output(&answer);
            Response::ok(answer)
        }
        Err(error) => {
            root.fail(&error);
            Response::error(error.to_string(), 502)
        }
    }
}

async fn handle(request: &Request, env: &Env, root: &mut Root) -> Result<String> {
    let body = JsFuture::from(request.inner().json()?).await?;
    // A JavaScript value is recorded unchanged, even if it is not a question.
    root.input(&Js(&body));
    let question: Question = serde_wasm_bindgen::from_value(body)?;
    // The span ends with the closure; an error is recorded in it and returned.
    root.run("llm", async |span| complete(&question, env, span).await).await
}

async fn complete(question: &Question, env: &Env, span: &mut Span) -> Result<String> {
    let model = env.var("LLM_MODEL")?.to_string();
    span.kind(SpanType::Llm).model(&model).input(question);

    let mut headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("authorization", &format!("Bearer {}", env.secret("LLM_API_KEY")?))?;
    span.inject(&mut headers.0);
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
