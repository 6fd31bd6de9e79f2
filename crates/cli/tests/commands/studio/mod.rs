//! The page of `aurora-sync studio` in a real browser.

#[path = "../../../../../tests/it/support/browser.rs"]
mod browser;
mod access;
mod files;
mod guests;
mod rows;

use std::process::Stdio;
use std::time::{Duration, Instant};

use local_stack::{Options, Profile, Stack, build_functions, workspace};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use self::browser::Browser;
use crate::cli::{Cli, put_metric};

const WAIT_MAX: Duration = Duration::from_mins(4);

/// The widths at which a person looks at the pages.
const WIDTHS: [u32; 3] = [400, 900, 1400];

/// A running page, in a browser that is signed in.
struct Studio {
    stack: Stack,
    /// The folder in which the command runs, until the end.
    _cli: Cli,
    browser: Browser,
    /// The address without its token.
    origin: String,
    process: Child,
}

impl Studio {
    async fn open() -> Self {
        let functions = build_functions(&workspace::root().unwrap(), Profile::Dev).await.unwrap();
        let stack = Stack::start(Options::new(functions).unwrap()).await.unwrap();
        let cli = Cli::of(&stack);
        let mut process = Command::new(env!("CARGO_BIN_EXE_aurora-sync"))
            .args(["studio", "--no-open", "--stack", "aurora-sync"])
            .args(["--api", &stack.addresses().api_url])
            .current_dir(cli.path())
            .env_clear()
            .envs(&cli.environment)
            .env("HOME", cli.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut address).await.unwrap();
        let origin = address.split_once("/?token=").unwrap().0.to_owned();
        let browser = Browser::open().await;
        browser.go_to(address.trim()).await;
        let studio = Self { stack, _cli: cli, browser, origin, process };
        studio.until("location.search === '' && document.title.startsWith('Overview')").await;
        studio
    }

    async fn go_to(&self, path: &str) {
        self.browser.go_to(&format!("{}{path}", self.origin)).await;
    }

    /// Evaluates an expression in the page.
    async fn eval(&self, expression: &str) -> Value {
        self.browser.read(expression).await
    }

    /// Waits until an expression is true.
    async fn until(&self, expression: &str) {
        let until = Instant::now() + WAIT_MAX;
        while self.eval(&format!("Boolean({expression})")).await != true {
            let text = self.eval("location.href + '\\n' + document.body.innerText").await;
            assert!(Instant::now() < until, "{expression}: {}", text.as_str().unwrap());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the page shows a text.
    async fn shows(&self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Clicks on the link or the button with this text.
    async fn choose(&self, text: &str) {
        let mark = format!(
            "[...document.querySelectorAll('a, button')].find(found => \
             found.textContent.trim().startsWith({}))?.setAttribute('data-chosen', '') === undefined",
            json!(text)
        );
        self.eval(
            "document.querySelectorAll('[data-chosen]').forEach(old => \
             old.removeAttribute('data-chosen'))",
        )
        .await;
        self.eval(&mark).await;
        self.browser.click("[data-chosen]").await;
    }

    /// Keeps a picture for the docs if `SCREENSHOTS` names a folder.
    async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        for width in WIDTHS {
            self.browser.resize(width, 800, false).await;
            let picture = self.browser.picture().await;
            let bytes = aws_smithy_types::base64::decode(picture).unwrap();
            let path = workspace::root().unwrap().join(&folder);
            std::fs::write(path.join(format!("studio-{name}-{width}.webp")), bytes).unwrap();
        }
        self.browser.resize(1400, 900, false).await;
    }

    async fn close(mut self) {
        self.browser.close().await;
        self.process.kill().await.unwrap();
    }
}

async fn the_overview_shows_the_accepted_writes(studio: &Studio) {
    studio.go_to("/").await;
    studio.shows("Accepted a minute\nnone").await;
    // The emulator makes no metrics of log lines.
    let data = json!({ "MetricName": "accepted_writes", "Value": 70 });
    put_metric(&studio.stack, "aurora-sync/aurora-sync", &data).await;
    studio.go_to("/").await;
    studio.shows("Accepted a minute\n7").await;
}

/// One stack for all of it: it takes its time to start.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_looks_and_mends_in_a_browser() {
    let studio = Box::pin(Studio::open()).await;
    guests::requests_of_others_are_refused(&studio).await;
    Box::pin(the_overview_shows_the_accepted_writes(&studio)).await;
    Box::pin(files::a_file_is_mended_to_its_last_row(&studio)).await;
    Box::pin(rows::a_row_is_added_changed_and_deleted(&studio)).await;
    Box::pin(rows::a_row_is_added_by_keyboard_alone(&studio)).await;
    Box::pin(rows::a_rejected_write_is_corrected_and_sent_again(&studio)).await;
    Box::pin(rows::a_dead_letter_is_redriven_and_another_discarded(&studio)).await;
    Box::pin(access::the_pages_are_accessible(&studio)).await;
    studio.close().await;
}
