//! A program of ours that listens: started as a process of its own, awaited by what it says, ended when dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Outcome, check, fail};

/// How long a start may take; a busy machine is slow, a program that hangs must not hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a program that listens says first.
const LISTENING: &str = "listening on ";

/// A running program.
pub struct Daemon {
    child: Child,
    /// `http://127.0.0.1:12345`.
    url: String,
    said: Arc<Mutex<String>>,
}

/// A port that nobody listens on now. Below the range that the system gives to outgoing connections, so that it is still free
/// when a killed server comes back to it; apart from those of other processes of the same kind.
pub fn free_port() -> Outcome<u16> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() * 101 % u32::from(COUNT))?;
    for _ in 0..1000 {
        let port = FIRST + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    fail("no port is free")
}

impl Daemon {
    /// Starts a program and waits until it says where it listens.
    pub fn start(command: Command) -> Outcome<Daemon> {
        Daemon::start_with(command, Stdio::null())
    }

    /// The same with something on its standard input.
    pub fn start_with(mut command: Command, input: Stdio) -> Outcome<Daemon> {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().display().to_string();
        let mut child = command.spawn().map_err(|error| Failure::new(format!("{program} does not start: {error}")))?;
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, first) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut daemon = Daemon { child, url: String::new(), said: said.clone() };
        // Both threads end with the output of the child.
        listen(stdout, said.clone(), Some(sender));
        let complaints = listen(stderr, said, None);
        daemon.url = daemon.wait_for_address(&first, complaints)?;
        Ok(daemon)
    }

    fn wait_for_address(
        &mut self,
        lines: &Receiver<String>,
        complaints: Option<thread::JoinHandle<()>>,
    ) -> Outcome<String> {
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once(LISTENING) {
                        return Ok(address
                            .split_whitespace()
                            .next()
                            .unwrap_or_default()
                            .trim_end_matches('/')
                            .to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => return fail(format!("it does not listen:\n{}", self.said())),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    // Why it ended stands in its last words, which may not all be read yet.
                    let _ = complaints.map(thread::JoinHandle::join);
                    return fail(format!("it ended before it listened, {status}:\n{}", self.said()));
                }
            }
        }
    }

    /// Its address: `http://127.0.0.1:12345`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address and port.
    pub fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.url.trim_start_matches("http://").parse()?)
    }

    /// Number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, both streams.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it without any warning, as a power failure does.
    pub fn kill9(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> Outcome<ExitStatus> {
        self.signal("TERM")?;
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Outcome<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) -> Outcome {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        check(status.success(), || format!("kill: {status}"))
    }

    /// Starts a program that goes on when this process ends: it writes to nobody, and a Ctrl+C meant for this process does not
    /// reach it. Waits until it listens at `address`; gives the number of its process.
    pub fn leave(mut command: Command, address: SocketAddr) -> Outcome<u32> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait()? {
                return fail(format!("it ended before it listened, {status}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After `kill9` and `stop` there is no process any more and both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(
    stream: Option<impl Read + Send + 'static>,
    said: Arc<Mutex<String>>,
    sender: Option<mpsc::Sender<String>>,
) -> Option<thread::JoinHandle<()>> {
    let stream = stream?;
    Some(thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
            drop(said);
            // Nobody reads any more when the address is known.
            let _ = sender.as_ref().map(|sender| sender.send(line));
        }
    }))
}
