//! The beginning of `aurora-sync import`, and its interruption.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::cli::Cli;

pub(crate) fn a_file_that_would_fail_is_not_uploaded(cli: &Cli) {
    let imports = || cli.json(0, "imports", "list").as_array().unwrap().len();
    let before = imports();
    cli.write("wrong.csv", "id,nmae\n1006,x\n");
    cli.write("semicolons.csv", "id;name;age\n1006;x;1\n");
    cli.write("good.csv", "id,name\n1006,x\n");
    for (words, expected) in [
        ("wrong.csv good.csv --table staff", "error: wrong.csv was not uploaded: "),
        ("semicolons.csv --table staff", "--delimiter semicolon"),
        ("good.csv --table stuff", "the API offers no table stuff; did you mean staff?"),
        (
            "good.csv --table staff --header perhaps",
            "header=\"perhaps\": expected one of true, false",
        ),
        ("good.csv --table staff --quote ,", "another character than that of delimiter"),
    ] {
        let (status, said, progress) = cli.import(words, "");
        assert_eq!(status, 2, "{words}: {said}{progress}");
        assert!(progress.contains(expected), "{words}: {progress}");
    }
    assert_eq!(imports(), before);
    let (status, said, progress) =
        cli.import("semicolons.csv --table staff --delimiter semicolon", "");
    assert_eq!(status, 0, "{said}{progress}");
}

/// The default of a prefix, which the stack of the test has.
pub(crate) const IMPORT_DEFAULTS: &str = r#"{"imports/staff/semi": {"delimiter": ";"}}"#;

pub(crate) fn a_default_of_the_stack_is_no_reason_to_refuse_a_file(cli: &Cli, api: &str) {
    cli.write("semi.csv", "id;name\n1009;x\n");
    let import = |words: &str| cli.import(&format!("semi.csv --table staff {words}"), "");
    // Without the stack, nothing tells its defaults.
    let (status, _, progress) = import("");
    assert!(status == 2 && progress.contains("--delimiter semicolon"), "{progress}");
    let (status, said, progress) = import(&format!("--stack aurora-sync --api {api}"));
    assert_eq!(status, 0, "{said}{progress}");
}

pub(crate) fn an_unknown_profile_is_refused(cli: &Cli) {
    // The environment has good credentials.
    let (status, _, said) = cli.import("good.csv --table staff --profile nope", "");
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("nope"), "{said}");
    assert!(said.len() < 1_000, "{said}");
}

pub(crate) fn an_upload_that_was_interrupted_is_resumed(cli: &Cli) {
    // 40 MiB are three parts.
    let row = format!("1007,{}\n", "y".repeat(400_000));
    cli.write("resumed.csv", &format!("id,name\n{}", row.repeat(105)));
    let mut interrupted =
        Cli { folder: tempfile::tempdir().unwrap(), environment: cli.environment.clone() };
    let store = interrupting_store(&cli.environment["AWS_ENDPOINT_URL"], "partNumber=3");
    interrupted.environment.insert("AWS_ENDPOINT_URL_S3", store);
    interrupted.environment.insert("XDG_STATE_HOME", cli.path().display().to_string());
    let path = cli.path().join("resumed.csv").display().to_string();
    let (status, _, progress) = interrupted.import(&format!("{path} --table staff"), "");
    assert_eq!(status, 1, "{progress}");
    assert!(progress.contains("the same command uploads the rest"), "{progress}");
    // One that S3 does not know any more begins anew.
    forge_upload_id(cli);
    let (status, _, progress) = interrupted.import(&format!("{path} --table staff"), "");
    assert_eq!(status, 1, "{progress}");
    assert!(!progress.contains("were uploaded before"), "{progress}");
    interrupted.environment.remove("AWS_ENDPOINT_URL_S3");
    let (status, said, progress) = interrupted.import(&format!("{path} --table staff"), "");
    assert_eq!(status, 0, "{said}{progress}");
    assert!(progress.contains("32.00 MiB were uploaded before"), "{progress}");
    assert!(said.contains("  read                   105\n"), "{said}");
}

/// Replaces the id of the upload that is remembered.
fn forge_upload_id(cli: &Cli) {
    let folder = cli.path().join("aurora-sync/uploads");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    record["upload_id"] = "gone".into();
    std::fs::write(file, record.to_string()).unwrap();
}

pub(crate) fn ctrl_c_names_the_import_and_the_commands_for_it(cli: &Cli) {
    let rows: Vec<_> = (0..200_000).map(|number| format!("{:04},x\n", number % 10_000)).collect();
    cli.write("long.csv", &format!("id,name\n{}", rows.concat()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_aurora-sync"));
    command.args(["import", "long.csv", "--table", "staff"]).current_dir(cli.path());
    command.env_clear().envs(&cli.environment).env("HOME", cli.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let begun = lines.find(|line| line.ends_with(" began")).unwrap();
    let id = begun.split_whitespace().nth(2).unwrap().to_owned();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let said = lines.find(|line| line.contains("interrupted")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    for command in
        [format!("aurora-sync imports show {id}"), format!("aurora-sync imports cancel {id}")]
    {
        assert!(said.contains(&command), "{said}");
    }
}

/// Starts a way to S3 that closes each connection on which a request with this text comes. Returns
/// its URL.
fn interrupting_store(store: &str, text: &'static str) -> String {
    let target = store.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass_on(from, to, None));
            std::thread::spawn(move || pass_on(client, server, Some(text)));
        }
    });
    url
}

/// Passes bytes on until one side ends, or the text comes.
fn pass_on(mut from: TcpStream, mut to: TcpStream, until: Option<&str>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..len];
        let is_over = until
            .is_some_and(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()));
        if is_over || to.write_all(bytes).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
