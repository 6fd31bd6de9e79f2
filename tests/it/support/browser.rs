//! A real browser: Chromium without a window, driven over WebDriver.
//!
//! Takes `chromedriver` and `chromium` of the machine. Where they are missing, root installs them
//! with apt, and everybody else is told how.

use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const DRIVER: &str = "chromedriver";
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

/// The time that scripts of tests may wait for responses of functions.
const SCRIPT_MS_MAX: u64 = 60_000;

/// A browser with an empty profile. Speaks WebDriver itself, which is JSON over HTTP: the libraries
/// bring other licenses, or more code than all tests.
pub(crate) struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    session_url: String,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn open() -> Self {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        INSTALLED.get_or_init(install).await;
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = start_driver().await;
        // Root may not use the sandbox, and the shared memory of containers is small.
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let client = Client::builder(TokioExecutor::new()).build_http();
        let session_url = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { client, session_url, _driver: driver, _profile: profile };
        let options = json!({
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": SCRIPT_MS_MAX },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": options } });
        let session = browser.command(Method::POST, "", &wanted).await;
        browser.session_url += &format!("/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    /// Opens a page.
    pub(crate) async fn go_to(&self, url: &str) {
        self.command(Method::POST, "/url", &json!({ "url": url })).await;
    }

    /// Runs a script in the page. Its last argument is the function that ends it with a value.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.command(Method::POST, "/execute/async", &call).await
    }

    /// Returns the value of an expression in the page. It is read at once, so that a page that goes
    /// to another one meanwhile does not lose it, as it can lose that of [`Self::run`].
    pub(crate) async fn read(&self, expression: &str) -> Value {
        let call = json!({ "script": format!("return ({expression})"), "args": [] });
        self.command(Method::POST, "/execute/sync", &call).await
    }

    /// Types keys into the element that a selector finds.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(selector).await);
        self.command(Method::POST, &path, &json!({ "text": text })).await;
    }

    pub(crate) async fn click(&self, selector: &str) {
        let path = format!("/element/{}/click", self.element(selector).await);
        self.command(Method::POST, &path, &json!({})).await;
    }

    /// Presses and releases keys where the focus is, one after the other. Special keys are those of
    /// WebDriver's table, such as U+E004 for Tab.
    pub(crate) async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.command(Method::POST, "/actions", &json!({ "actions": [keyboard] })).await;
    }

    /// Sets the size of the page in pixels, and whether it is dark.
    pub(crate) async fn resize(&self, width: u32, height: u32, is_dark: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &media).await;
    }

    /// Returns a picture of the page as `WebP` in Base64.
    pub(crate) async fn picture(&self) -> String {
        let picture = self
            .devtools("Page.captureScreenshot", &json!({ "format": "webp", "quality": 80 }))
            .await;
        picture["data"].as_str().unwrap().to_owned()
    }

    async fn devtools(&self, name: &str, parameters: &Value) -> Value {
        let call = json!({ "cmd": name, "params": parameters });
        self.command(Method::POST, "/goog/cdp/execute", &call).await
    }

    async fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.command(Method::POST, "/element", &wanted).await;
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Ends the browser. Without it, the browser would outlive its driver.
    pub(crate) async fn close(self) {
        self.command(Method::DELETE, "", &json!({})).await;
    }

    /// Sends a command of WebDriver (W3C, "WebDriver", section "Commands"), and returns its value.
    async fn command(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.session_url))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(head.status.is_success(), "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
    }
}

/// Starts the driver. Returns its process and the free port that it took.
async fn start_driver() -> (Child, u16) {
    let mut driver = Command::new(DRIVER)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    // ChromeDriver was started successfully on port 40123.
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return (driver, port.trim_end_matches('.').parse().unwrap());
        }
    }
    panic!("{DRIVER} ended without a port");
}

/// Installs the packages if the driver is missing.
async fn install() {
    let is_there = Command::new(DRIVER).arg("--version").output().await.is_ok();
    if is_there {
        return;
    }
    let script = "apt-get update && apt-get install --yes --no-install-recommends \"$@\"";
    let mut apt = Command::new("sh");
    apt.args(["-c", script, "apt"]).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive");
    let output = apt.stdin(Stdio::null()).output().await;
    let is_installed = output.as_ref().is_ok_and(|output| output.status.success());
    assert!(
        is_installed,
        "The tests in a browser need Chromium and chromedriver, and this user cannot install them: \
         apt-get install {}\n{output:?}",
        PACKAGES.join(" "),
    );
}
