//! A real browser, by WebDriver: Chromium without a window. What it says in its log, and what the pages'
//! policy forbade, fails the test.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use handoffd::demo::world::{Folder, free_port};
use handoffd_test_support::eventually;
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

/// So long a page may take to do what it should.
pub const SOON: Duration = Duration::from_secs(20);

/// The file of axe-core, which `tests/run` fetches.
const AXE: &str = "HANDOFFD_TEST_AXE";

/// Where pictures go, if somebody wants them.
pub const PICTURES: &str = "HANDOFFD_PICTURES";

/// Where a driver or browser is looked for: the variable, and the usual place.
fn program(variable: &str, usual: &str) -> String {
    let found = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    assert!(
        std::path::Path::new(&found).exists(),
        "{found} is missing: apt-get install chromium chromium-driver, or run tests/run"
    );
    found
}

/// Collects what the policy forbade, from the first script on.
const WATCH: &str = "window.forbidden = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.forbidden.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});";

/// A browser with one window.
pub struct Browser {
    client: Client,
    driver: Child,
    base: String,
    _profile: Folder,
}

/// A command that WebDriver itself does not have.
#[derive(Debug)]
struct Beyond(&'static str, Value);

impl WebDriverCompatibleCommand for Beyond {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    /// A browser for the pages below an address.
    pub async fn open(base: &str) -> Browser {
        let port = free_port().unwrap();
        let driver = Command::new(program(
            "HANDOFFD_TEST_CHROMEDRIVER",
            "/usr/bin/chromedriver",
        ))
        .arg(format!("--port={port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        eventually(SOON, || async { TcpStream::connect(at).is_ok() }).await;
        let profile = Folder::new().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--lang=en",
        ];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({
            "goog:chromeOptions": {"binary": program("HANDOFFD_TEST_CHROMIUM", "/usr/bin/chromium"), "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone())
            .connect(&format!("http://{at}"))
            .await
            .unwrap();
        let browser = Browser {
            client,
            driver,
            base: base.to_owned(),
            _profile: profile,
        };
        browser
            .devtools(
                "Page.addScriptToEvaluateOnNewDocument",
                json!({"source": WATCH}),
            )
            .await;
        browser.size(1440, 900).await;
        browser
    }

    async fn beyond(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Beyond(path, body)).await.unwrap()
    }

    /// A command of the browser's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.beyond(
            "goog/cdp/execute",
            json!({"cmd": command, "params": parameters}),
        )
        .await
    }

    /// The page's size in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let scale = if width < 500 { 2 } else { 1 };
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false}),
        )
        .await;
    }

    /// Which theme the system prefers: `light` or `dark`.
    pub async fn prefers(&self, theme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// Goes to a path.
    pub async fn go(&self, path: &str) {
        self.client
            .goto(&format!("{}{path}", self.base))
            .await
            .unwrap();
    }

    /// The path and query where the browser is.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().replace(&self.base, "")
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// The text of the first element of a selector.
    pub async fn text(&self, selector: &str) -> String {
        let found = self.client.find(Locator::Css(selector)).await;
        found
            .unwrap_or_else(|error| panic!("{selector}: {error}"))
            .text()
            .await
            .unwrap()
    }

    /// Waits until a script returns true.
    pub async fn until(&self, script: &str) {
        eventually(SOON, || async { self.run(script).await == json!(true) }).await;
    }

    /// Presses a key or types a text, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let active = self.client.active_element().await.unwrap();
        active.send_keys(keys).await.unwrap();
    }

    /// Presses the first element of a selector.
    pub async fn press(&self, selector: &str) {
        let found = self.client.find(Locator::Css(selector)).await;
        found
            .unwrap_or_else(|error| panic!("{selector}: {error}"))
            .click()
            .await
            .unwrap();
    }

    /// Nothing was forbidden by the policy, and the log is empty but for answers that the test expects.
    pub async fn is_quiet(&self, expected: &[&str]) {
        let forbidden = self.run("return window.forbidden || []").await;
        assert_eq!(forbidden, json!([]), "{}", self.path().await);
        let log = self.beyond("se/log", json!({"type": "browser"})).await;
        let lines = log.as_array().into_iter().flatten();
        let bad: Vec<&str> = lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .filter_map(|line| line["message"].as_str())
            .filter(|message| !expected.iter().any(|words| message.contains(words)))
            .collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", self.path().await);
    }

    /// The page does not scroll sideways.
    pub async fn does_not_scroll_sideways(&self) {
        let script = "const wide = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= wide) return [];
            return [...document.querySelectorAll('body *')]
              .filter((one) => one.getBoundingClientRect().right > wide + 1 && one.offsetParent !== null)
              .map((one) => `${one.tagName}.${one.className}`).slice(0, 8);";
        let wide = self.run(script).await;
        assert_eq!(wide, json!([]), "{} is too wide", self.path().await);
    }

    /// What axe finds: WCAG 2.2 A and AA, and best practice.
    pub async fn axe(&self) {
        let file = std::env::var(AXE).unwrap_or_else(|_| {
            panic!(
                "{AXE} is not set: run tests/run, or npm pack axe-core@4 and name its axe.min.js"
            )
        });
        let axe = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        // Injected by the driver: the page's own policy would not let it in.
        self.run(&format!(
            "if (!window.axe) {{ {axe}; window.axe = axe; }} return true;"
        ))
        .await;
        let script = "const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map((one) =>
              `${one.id} (${one.impact}): ${one.nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join(' | ')}`)),
              (error) => done([String(error)]));";
        let found = self.client.execute_async(script, vec![]).await.unwrap();
        assert_eq!(found, json!([]), "{}: {found:#}", self.path().await);
    }

    /// A picture of the page, where pictures are wanted.
    pub async fn picture(&self, name: &str) {
        let Ok(folder) = std::env::var(PICTURES) else {
            return;
        };
        std::fs::create_dir_all(&folder).unwrap();
        let file = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Closes it.
    pub async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
