//! JavaScript values as serde values: written as the engine's own `JSON.stringify` does it, and better where that says
//! nothing.

use js_sys::JSON;
use opik_edge::headers::Incoming;
use opik_edge::record::Recorder;
use opik_edge::value::Js;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

/// The value of a JavaScript expression.
fn value(expression: &str) -> JsValue {
    js_sys::eval(&format!("({expression})")).unwrap()
}

fn json(expression: &str) -> String {
    serde_json::to_string(&Js(&value(expression))).unwrap()
}

#[wasm_bindgen_test]
fn plain_values_are_written_as_the_engine_writes_them() {
    for expression in [
        "null",
        "true",
        "'a€😀\"\\\\\\n\\u001f'",
        "0",
        "-0",
        "1.5",
        "-1e-7",
        "1e21",
        "Number.MAX_SAFE_INTEGER",
        "NaN",
        "-Infinity",
        "[]",
        "[1, [2, [undefined, () => 1, Symbol('x')]], , 3]",
        "{}",
        "{ a: { b: [{ c: null }] }, 'd e': '', 7: 1 }",
        "{ a: undefined, b: () => 1, c: Symbol('x'), d: 1, [Symbol('e')]: 1 }",
        "Object.assign(Object.create(null), { a: 1 })",
        "Object.assign(Object.create({ inherited: 1 }), { own: 1 })",
        "Object.defineProperty({ seen: 1 }, 'hidden', { value: 1 })",
        "new Date(1764000000000)",
        "new Date(NaN)",
        "new URL('https://example.com/?q=1')",
        "{ at: new Date(0), toJSON: 'not a function' }",
        "{ secret: 1, toJSON() { return { shown: this.secret } } }",
        "[{ toJSON: () => undefined }]",
        "{ gone: 1, nothing: { toJSON: () => null } }",
        "new (class Point { x = 1; #y = 2; get z() { return 3 } })()",
        "Promise.resolve(1)",
    ] {
        let expected = String::from(JSON::stringify(&value(expression)).unwrap());
        // Where the engine writes 1e21 or 1e-7, serde_json may write the same number in other words.
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(&json(expression)), same(&expected), "{expression}");
    }
}

#[wasm_bindgen_test]
fn what_json_stringify_says_nothing_of_is_written_readably() {
    for (expression, expected) in [
        ("undefined", "null"),
        ("() => 1", "null"),
        ("Symbol('x')", "null"),
        ("new Map([['b', 1], ['a', new Map([['c', undefined]])]])", r#"{"b":1,"a":{}}"#),
        ("new Map([[1, 'x'], ['y', undefined]])", r#"[[1,"x"],["y",null]]"#),
        ("new Set([1, 'x', new Set()])", r#"[1,"x",[]]"#),
        ("[9007199254740993n, -(2n ** 70n)]", r#"["9007199254740993","-1180591620717411303424"]"#),
        ("new Uint8Array(12)", r#""[Uint8Array of 12 bytes]""#),
        ("new Float32Array(3)", r#""[Float32Array of 12 bytes]""#),
        (
            "[new ArrayBuffer(5), new DataView(new ArrayBuffer(6))]",
            r#"["[ArrayBuffer of 5 bytes]","[DataView of 6 bytes]"]"#,
        ),
        ("{ error: new TypeError('no') }", r#"{"error":{"name":"TypeError","message":"no"}}"#),
        ("new Error('no', { cause: 'yes' })", r#"{"name":"Error","message":"no","cause":"yes"}"#),
        ("'\\ud800'", "\"\u{fffd}\""),
    ] {
        assert_eq!(json(expression), expected, "{expression}");
    }
}

#[wasm_bindgen_test]
fn a_cycle_is_told_from_an_object_that_occurs_twice() {
    for (expression, expected) in [
        ("((a) => { a.self = a; return a })({ n: 1 })", r#"{"n":1,"self":"[circular]"}"#),
        ("((a) => { a[0] = [a]; return a })([])", r#"[["[circular]"]]"#),
        ("((m) => { m.set('m', m); return m })(new Map())", r#"{"m":"[circular]"}"#),
        ("((s) => s.add({ s }))(new Set())", r#"[{"s":"[circular]"}]"#),
        ("{ toJSON() { return { self: this } } }", r#"{"self":"[circular]"}"#),
        ("((a) => [a, a, { a }])({ n: 1 })", r#"[{"n":1},{"n":1},{"a":{"n":1}}]"#),
    ] {
        assert_eq!(json(expression), expected, "{expression}");
    }
}

#[wasm_bindgen_test]
fn what_throws_when_it_is_read_is_an_error() {
    for (expression, expected) in [
        ("{ get a() { throw new RangeError('no getter') } }", "no getter"),
        ("[{ toJSON() { throw 'a string' } }]", "a string"),
        ("{ get toJSON() { throw { odd: 1 } } }", "an exception"),
        ("{ get a() { throw null } }", "an exception"),
        ("Object.defineProperty([1], 1, { get() { throw Error('no item') } })", "no item"),
        ("new Proxy({}, { ownKeys() { throw Error('no keys') } })", "no keys"),
        ("new Proxy({ a: 1 }, { getOwnPropertyDescriptor() { throw Error('no member') } })", "no member"),
        ("((p) => { p.revoke(); return p.proxy })(Proxy.revocable([], {}))", "revoked"),
        ("Object.defineProperty(Error('x'), 'message', { get() { throw Error('no message') } })", "no message"),
        ("{ toJSON: function endless() { return [{ toJSON: endless }] } }", "nested too deep"),
    ] {
        let error = serde_json::to_string(&Js(&value(expression))).unwrap_err();
        assert!(error.to_string().contains(expected), "{expression}: {error}");
    }
    let deep = |levels: usize| format!("JSON.parse('[['.repeat({levels}) + ']]'.repeat({levels}))");
    assert_eq!(json(&deep(64)).len(), 256);
    assert!(serde_json::to_string(&Js(&value(&deep(100)))).is_err());
}

#[wasm_bindgen_test]
fn a_field_that_throws_says_so_and_the_others_are_kept() {
    let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", 1_764_000_000_000, [[1; 12], [2; 12]]);
    root.input(&Js(&value("{ get a() { throw new Error('no') } }")));
    root.output(&serde_json::json!({ "kept": 1 }));
    root.metadata(&std::collections::BTreeMap::from([("js", Js(&value("new Map([['a', 1n]])")))]));
    recorder.end(root, 1_764_000_000_001).unwrap();
    let (_, spans) = (recorder.take().unwrap(), recorder.take().unwrap());
    let payload: serde_json::Value = serde_json::from_slice(spans.body()).unwrap();
    let row = &payload["spans"][0];
    assert_eq!(row["input"], serde_json::json!({ "input": "[unserializable: no]" }));
    assert_eq!(row["output"], serde_json::json!({ "kept": 1 }));
    assert_eq!(row["metadata"], serde_json::json!({ "js": { "a": "1" } }));
}
