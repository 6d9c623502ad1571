//! A daemon without a broker, between the simulators.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::sandbox::Running;
use handoffd_test_support::eventually;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// The daemon.
pub struct Alone {
    /// Where events and webhooks come in.
    pub public: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// What producers of events show.
    pub token: String,
    /// The simulators.
    pub sims: Running,
    folder: Folder,
    plan: Plan,
    client: Client,
    child: Option<Child>,
}

impl Alone {
    /// Starts one and waits until it is ready.
    pub async fn start() -> Alone {
        Alone::under("exec \"$0\" \"$@\"", |_| {}).await
    }

    /// The same by this shell command, whose `"$0" "$@"` is the daemon's, with the plan changed first.
    pub async fn under(shell: &str, change: impl FnOnce(&mut Plan)) -> Alone {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let folder = Folder::new().unwrap();
        let public = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let mut plan = Plan::new(&sims, ledger, public);
        change(&mut plan);
        std::fs::write(folder.path().join("handoffd.toml"), plan.toml().unwrap()).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("sh")
            .args(["-c", shell, env!("CARGO_BIN_EXE_handoffd"), "run"])
            .arg("--config")
            .arg(folder.path().join("handoffd.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let alone = Alone {
            public,
            admin: plan.admin,
            token: plan.events_token.clone(),
            sims,
            folder,
            plan,
            client: Client::builder().no_proxy().build().unwrap(),
            child: Some(child),
        };
        eventually(SOON, || async { alone.get("/readyz").await.0 == 200 }).await;
        alone
    }

    /// Status and body of what operators ask; 0 when nobody answers.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let asked = self.client.get(format!("http://{}{path}", self.admin));
        match asked.send().await {
            Ok(reply) => (
                reply.status().as_u16(),
                reply.text().await.unwrap_or_default(),
            ),
            Err(_) => (0, String::new()),
        }
    }

    /// Posts to the public listener.
    pub async fn post(&self, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> u16 {
        let request = self
            .client
            .post(format!("http://{}{path}", self.public))
            .body(body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        request.send().await.unwrap().status().as_u16()
    }

    /// A command of an operator: exit code and what it says.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("handoffd.toml"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    /// A secret of a simulator's clients.
    pub fn secret(&self, kind: &str, name: &str) -> String {
        let value = self.plan.credentials[kind]["secrets"][name].as_str();
        value.unwrap().to_owned()
    }

    pub fn process(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let id = self.process().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            #[expect(
                clippy::print_stderr,
                reason = "a failed test shows what the daemon said"
            )]
            {
                eprintln!("--- the daemon's log\n{}", self.log());
            }
        }
    }
}
