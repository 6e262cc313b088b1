//! What a Rust program does every day: files, processes, threads, sockets. It prints nothing that two runs do not agree on.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::{env, panic, thread};

fn say<T: Debug>(what: &str, got: io::Result<T>) {
    match got {
        Ok(value) => println!("{what}: {value:?}"),
        Err(error) => println!("{what}: {:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn files() -> io::Result<()> {
    let top = Path::new("files");
    let file = top.join("a/file");

    fs::create_dir_all(top.join("a/b"))?;
    fs::write(&file, "line one\nline two\n")?;
    say("read", BufReader::new(File::open(&file)?).lines().collect::<io::Result<Vec<_>>>());
    say("append", OpenOptions::new().append(true).open(&file)?.write_all(b"more\n"));
    say("again", OpenOptions::new().write(true).create_new(true).open(&file).map(|_| ()));
    say("made", OpenOptions::new().write(true).create(true).mode(0o640).open(top.join("made"))?.metadata().map(|m| m.mode()));
    say("link", symlink("a/file", top.join("link")).and_then(|_| fs::read_link(top.join("link"))));
    say("hard link", fs::hard_link(&file, top.join("hard")).and_then(|_| fs::metadata(&file)).map(|m| m.nlink()));
    say("mode", fs::set_permissions(&file, fs::Permissions::from_mode(0o604)));
    say("mode", fs::metadata(top.join("link")).map(|m| (m.mode(), m.len(), m.is_file())));
    say("its own", fs::symlink_metadata(top.join("link")).map(|m| (m.is_symlink(), m.len())));
    say("rename", fs::rename(top.join("made"), top.join("a/b/moved")));
    say("copy", fs::copy(&file, top.join("a/b/copy")));
    say("absent", fs::read("absent").map(|_| ()));
    say("a file as a directory", fs::read(file.join("x")).map(|_| ()));
    say("full", fs::remove_dir(top.join("a")));
    say("a name that is no text", fs::write(top.join(OsStr::from_bytes(b"\xff\xfe")), "x"));
    let canonical = fs::canonicalize(top.join("link"))?;
    say("canonical", canonical.strip_prefix(env::current_dir()?).map(Path::to_path_buf).map_err(io::Error::other));
    let mut open = OpenOptions::new().read(true).write(true).open(&file)?;
    say("at", open.write_at(b"L", 0));
    say("cut", open.set_len(4));
    let mut text = String::new();
    open.seek(SeekFrom::Start(0))?;
    say("cut", open.read_to_string(&mut text).map(|n| (n, text.clone())));
    let mut names: Vec<_> = fs::read_dir(top)?.map(|each| each.map(|e| (e.file_name(), e.file_type().unwrap().is_dir()))).collect::<io::Result<_>>()?;
    names.sort();
    println!("listed: {names:?}");
    say("moved to", env::set_current_dir("files/a").and_then(|_| fs::metadata("file")).map(|m| m.len()));
    env::set_current_dir("../..")?;
    say("removed", fs::remove_dir_all(top));
    Ok(())
}

fn processes() -> io::Result<()> {
    let mut sort = Command::new("sort").arg("-r").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    sort.stdin.take().unwrap().write_all(b"a\nb\nc\n")?;
    say("sorted", sort.wait_with_output().map(|o| (o.status.code(), String::from_utf8(o.stdout).unwrap())));
    say("status", Command::new("sh").args(["-c", "exit 7"]).status().map(|s| s.code()));
    say("signal", Command::new("sh").args(["-c", "kill -9 $$"]).status().map(|s| s.signal()));
    say("absent", Command::new("no-such-program").status());
    say("in a directory", Command::new("pwd").current_dir("/usr").output().map(|o| o.stdout));
    say("another name", Command::new("sh").arg0("renamed").args(["-c", "echo $0"]).env_clear().output().map(|o| o.stdout));
    let before = unsafe { Command::new("sh").arg("-c").arg("ulimit -n >/dev/null; pwd").pre_exec(|| env::set_current_dir("/")).output() };
    say("before the exec", before.map(|o| o.stdout));
    let mut sleeper = Command::new("sleep").arg("100").spawn()?;
    say("still there", sleeper.try_wait());
    sleeper.kill()?;
    say("killed", sleeper.wait().map(|s| s.signal()));
    say("own", env::current_exe().map(|p| p.file_name().unwrap().to_owned()));
    Ok(())
}

fn threads() {
    let (tell, told) = mpsc::channel();
    let sum = Arc::new(Mutex::new(0u64));
    let barrier = Arc::new(Barrier::new(16));
    let all: Vec<_> = (0..16u64)
        .map(|n| {
            let (tell, sum, barrier) = (tell.clone(), Arc::clone(&sum), Arc::clone(&barrier));
            thread::Builder::new()
                .name(format!("worker-{n}"))
                .spawn(move || {
                    barrier.wait();
                    for round in 0..20 {
                        let path = format!("thread-{n}-{round}");
                        fs::write(&path, "x".repeat(n as usize)).unwrap();
                        *sum.lock().unwrap() += fs::metadata(&path).unwrap().len();
                        fs::remove_file(&path).unwrap();
                    }
                    tell.send(n).unwrap();
                })
                .unwrap()
        })
        .collect();
    drop(tell);
    let mut order: Vec<_> = told.iter().collect();
    order.sort();
    println!("threads: {}, {order:?}, {}", *sum.lock().unwrap(), all.into_iter().all(|each| each.join().is_ok()));
    panic::set_hook(Box::new(|_| ()));
    println!("one that panics: {}", thread::spawn(|| panic!("on purpose")).join().is_err());
}

fn sockets() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        let (mut peer, _) = server.accept()?;
        let mut text = [0; 5];
        peer.read_exact(&mut text)?;
        peer.write_all(&text)
    });
    let mut client = TcpStream::connect(address)?;
    let mut text = String::new();
    client.write_all(b"hello")?;
    client.read_to_string(&mut text)?;
    println!("over tcp: {text}, {:?}", echo.join().unwrap());
    say("refused", TcpStream::connect("127.0.0.1:1").map(|_| ()));
    say("udp", UdpSocket::bind("127.0.0.1:0").and_then(|s| s.set_nonblocking(true).and_then(|_| s.recv(&mut [0; 4]))));
    let listener = UnixListener::bind("socket")?;
    let mut client = UnixStream::connect("socket")?;
    let (mut peer, _) = listener.accept()?;
    client.write_all(b"unix")?;
    drop(client);
    text.clear();
    peer.read_to_string(&mut text)?;
    println!("over unix: {text}");
    say("again", UnixListener::bind("socket").map(|_| ()));
    fs::remove_file("socket")?;
    say("absent", UnixStream::connect("socket").map(|_| ()));
    let (one, two) = UnixDatagram::pair()?;
    say("pair", one.send(b"datagram").and_then(|_| two.recv(&mut [0; 20])));
    Ok(())
}

fn main() -> io::Result<()> {
    println!("hello {:?}", env::args().skip(1).collect::<Vec<_>>());
    files()?;
    processes()?;
    sockets()?;
    threads();
    Ok(())
}
