//! The platform of JavaScript for [`crate::client`]: Workers, pages and servers. Needs the feature `web`. Compiles for
//! every target; runs in JavaScript engines.
//!
//! It looks up functions on the global object, and so needs neither a `Window` nor a `WorkerGlobalScope`. Random bytes
//! come from uuid, which uses `crypto.getRandomValues`.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};

use js_sys::wasm_bindgen::closure::Closure;
use js_sys::wasm_bindgen::{JsCast, JsValue};
use js_sys::{Array, Date, Function, Promise, Reflect, Uint8Array, global};
use uuid::Uuid;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, RequestInit, RequestRedirect, Response, ResponseType, console};

use crate::client::{Answer, Client, Extract, Inject, Platform, Request, Root, Settings};
use crate::record::Random;
use crate::upload::METHOD;

/// A client in a JavaScript engine.
///
/// ```no_run
/// use js_sys::wasm_bindgen::JsValue;
/// use opik_edge::{value::Js, web::Opik};
///
/// async fn handle(env: &JsValue, request: &web_sys::Request, body: &JsValue) {
///     let mut root = Opik::from_env(env).open_request(request);
///     let delivered = root.delivered(); // for `waitUntil`, or `spawn_local`
///     root.input(&Js(body));
///     drop(root);
///     delivered.await;
/// }
/// ```
///
/// A page must not have a key: it uses [`Client::for_relay`].
pub type Opik = Client<Web>;

/// The platform of JavaScript: its clock, random bytes, `fetch`, timers and console.
///
/// ```no_run
/// use opik_edge::{client::{Client, Settings}, web::Web};
///
/// let client = Client::new(Web, Settings { api_key: "my-key".into(), ..Settings::default() });
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Web;

impl Client<Web> {
    /// A client with settings from the members of an object, as [`Settings::from_env`] reads them: the `env` of a
    /// Worker, `process.env`. Members that are not strings are ignored.
    ///
    /// ```no_run
    /// # use js_sys::wasm_bindgen::JsValue;
    /// fn client(env: &JsValue) -> opik_edge::web::Opik {
    ///     opik_edge::web::Opik::from_env(env)
    /// }
    /// ```
    #[must_use]
    pub fn from_env(env: &JsValue) -> Self {
        let get = |name: &str| Reflect::get(env, &name.into()).ok()?.as_string();
        Self::new(Web, Settings::from_env(get))
    }

    /// A client that sends its rows to a relay: its URL, or a path on the page's origin. See [`Settings::for_relay`].
    ///
    /// ```no_run
    /// let opik = opik_edge::web::Opik::for_relay("/opik");
    /// let root = opik.begin("click");
    /// ```
    #[must_use]
    pub fn for_relay(url: &str) -> Self {
        let origin =
            || Reflect::get(&Reflect::get(&global(), &"location".into()).ok()?, &"origin".into()).ok()?.as_string();
        let origin = if url.starts_with('/') { origin().unwrap_or_default() } else { String::new() };
        Self::new(Web, Settings::for_relay(&[&origin, url].concat()))
    }

    /// Begins the recording of a request: under the caller's span if the headers name a trace, otherwise in a new
    /// trace. The root's name is the method and the path of the URL: `POST /ask`.
    ///
    /// ```no_run
    /// # use opik_edge::web::Opik;
    /// fn handle(opik: &Opik, request: &web_sys::Request) {
    ///     let root = opik.open_request(request);
    ///     wasm_bindgen_futures::spawn_local({
    ///         let delivered = root.delivered();
    ///         async {
    ///             delivered.await;
    ///         }
    ///     });
    /// }
    /// ```
    pub fn open_request(&self, request: &web_sys::Request) -> Root<Web> {
        self.open(&[&request.method(), " ", &self.shown(path(&request.url()))].concat(), request)
    }
}

/// The path of a URL, without the query, which may contain secrets.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or("/")
}

impl Platform for Web {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "JavaScript's numbers are floats")]
    fn now_ms(&self) -> u64 {
        Date::now() as u64
    }

    fn random(&self) -> Random {
        let uuid = Uuid::new_v4().into_bytes();
        // Bytes 6 and 8 also encode the version and the variant.
        let bytes = uuid.iter().enumerate().filter(|(at, _)| !matches!(at, 6 | 8)).map(|(_, byte)| *byte);
        let mut random = Random::default();
        for (slot, byte) in random.iter_mut().zip(bytes) {
            *slot = byte;
        }
        random
    }

    async fn post(&self, request: Request<'_>) -> Option<Answer> {
        post(&request).await.ok()
    }

    fn sleep(&self, ms: u64) -> impl Future<Output = ()> {
        let timer = Timer::new(ms);
        poll_fn(move |context| {
            if timer.state.is_due.get() {
                return Poll::Ready(());
            }
            timer.state.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
    }

    fn warn(&self, message: &str) {
        console::warn_1(&["opik-edge: ", message].concat().into());
    }
}

async fn post(request: &Request<'_>) -> Result<Answer, JsValue> {
    let broken_off = BreakOff(AbortController::new()?);
    let headers: Array = request
        .headers
        .iter()
        .map(|(name, value)| Array::of2(&JsValue::from(*name), &JsValue::from(value.as_str())))
        .collect();
    let init = RequestInit::new();
    init.set_method(METHOD);
    init.set_headers(&headers);
    init.set_body(&Uint8Array::from(request.body));
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&broken_off.0.signal()));
    let fetch: Function = Reflect::get(&global(), &"fetch".into())?.dyn_into()?;
    let answer: Promise = fetch.call2(&global(), &request.url.into(), &init)?.dyn_into()?;
    let response: Response = JsFuture::from(answer).await?.unchecked_into();
    // Browsers hide the status of a redirect from pages.
    let status = if response.type_() == ResponseType::Opaqueredirect { 302 } else { response.status() };
    Ok(Answer { status, headers: pairs(&response.headers()) })
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let pair = |entry: JsValue| {
        let entry: Array = entry.unchecked_into();
        Some((entry.get(0).as_string()?, entry.get(1).as_string()?))
    };
    Array::from(headers).iter().filter_map(pair).collect()
}

/// Interrupts a request that is no longer awaited, and discards the body of its response, which would occupy the
/// connection.
struct BreakOff(AbortController);

impl Drop for BreakOff {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A timer that is cleared when its future is dropped: a pending timer would keep a process alive.
struct Timer {
    state: Rc<TimerState>,
    handle: JsValue,
    _callback: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct TimerState {
    is_due: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    fn new(ms: u64) -> Self {
        let state = Rc::new(TimerState::default());
        let own = Rc::clone(&state);
        let callback = Closure::<dyn FnMut()>::new(move || {
            own.is_due.set(true);
            if let Some(waker) = own.waker.take() {
                waker.wake();
            }
        });
        // A longer delay would fire immediately.
        let ms = JsValue::from(u32::try_from(ms).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs()));
        let handle = call("setTimeout", |set| set.call2(&global(), callback.as_ref(), &ms));
        Self { state, handle, _callback: callback }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        call("clearTimeout", |clear| clear.call1(&global(), &self.handle));
    }
}

/// Calls a function of the platform; returns `undefined` if the platform lacks the function.
fn call(name: &str, with: impl FnOnce(&Function) -> Result<JsValue, JsValue>) -> JsValue {
    let function = Reflect::get(&global(), &name.into()).unwrap_or_default();
    function.dyn_ref().and_then(|function| with(function).ok()).unwrap_or_default()
}

impl Extract for Headers {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Owned(self.get(name).ok()??.into_bytes()))
    }
}

impl Extract for web_sys::Request {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Owned(self.headers().get(name).ok()??.into_bytes()))
    }
}

impl Inject for Headers {
    fn set(&mut self, name: &'static str, value: &str) {
        // Immutable headers stay unchanged.
        _ = Self::set(self, name, value);
    }
}
