//! A page in Rust that begins a trace and calls its server. Its rows go to the relay at `/opik`.

use opik_edge::client::Active;
use opik_edge::web::{Opik, Web};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Headers, RequestInit, Response, window};
use yew::prelude::*;

#[component]
fn Page() -> Html {
    let opik = use_memo((), |()| Opik::for_relay("/opik"));
    let answer = use_state(String::new);
    let onclick = {
        let answer = answer.clone();
        move |_| {
            let (opik, answer) = (opik.clone(), answer.clone());
            spawn_local(async move {
                let mut root = opik.begin("question");
                let delivered = root.delivered();
                root.input("What is a span?");
                match root.run("GET /answer", ask).await {
                    Ok(text) => {
                        root.output(&text);
                        answer.set(text);
                    }
                    Err(error) => root.fail(&error),
                }
                drop(root);
                delivered.await;
            });
        }
    };
    html! {
        <>
            <button {onclick}>{ "Ask" }</button>
            <p>{ (*answer).clone() }</p>
        </>
    }
}

async fn ask(span: &mut Active<Web>) -> Result<String, String> {
    let text = get("/answer", span).await.map_err(|error| format!("{error:?}"))?;
    span.output(&text);
    Ok(text)
}

/// Fetches a URL. The server opens its spans under `span`.
async fn get(url: &str, span: &Active<Web>) -> Result<String, JsValue> {
    let mut headers = Headers::new()?;
    span.inject(&mut headers);
    let init = RequestInit::new();
    init.set_headers(&headers);
    let window = window().ok_or("no window")?;
    let response: Response = JsFuture::from(window.fetch_with_str_and_init(url, &init)).await?.unchecked_into();
    if !response.ok() {
        return Err(format!("{} from {url}", response.status()).into());
    }
    Ok(JsFuture::from(response.text()?).await?.as_string().unwrap_or_default())
}

fn main() {
    yew::Renderer::<Page>::new().render();
}
