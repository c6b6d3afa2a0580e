//! What guides and README tell people to type, word by word, on a machine of its own: name spaces in which the ports, the
//! processes, `/usr/local` and `/root` are nobody else's. Only what a guide leaves to the reader (addresses, an editor) is
//! filled in.

use cluster::{Process, our_program, repository};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);

/// What every script finds: a network of its own, the two folders, names of hosts, and a way to wait for a line.
const PRELUDE: &str = r#"
set -e
ip link set lo up
ip address add 192.168.96.128/32 dev lo
mount --bind "$MACHINE/local" /usr/local
mount --bind "$MACHINE/root" /root
mount --bind "$MACHINE/hosts" /etc/hosts
export HOME=/root
cd
wait_for() { until grep -q -- "$1" "$2" 2>/dev/null; do sleep 0.1; done; }
"#;

pub(crate) struct Machine {
    dir: tempfile::TempDir,
}

/// How a script ended and everything it printed.
pub(crate) struct Ran {
    code: Option<i32>,
    pub(crate) text: String,
}

impl Machine {
    /// A machine with a release unpacked at `/usr/local/rocketmq`.
    pub(crate) fn new() -> Machine {
        let machine = Machine {
            dir: tempfile::Builder::new()
                .prefix("rocketmq-machine-")
                .tempdir()
                .unwrap(),
        };
        for folder in ["local", "root"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        let hosts = "127.0.0.1 localhost peer1 peer2 peer3\n192.168.96.128 rocketmq-nameserver1\n192.168.96.128 rocketmq-master1\n";
        fs::write(machine.path("hosts"), hosts).unwrap();
        unpack(&machine.path("local/rocketmq"));
        machine
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Puts a file of a guide where the guide has it, with `replace` done to it.
    fn guide_file(&self, name: &str, to: &str, replace: &[(&str, &str)]) {
        let file = repository().join("crates/broker/tests/files").join(name);
        let mut text = fs::read_to_string(file).unwrap();
        for (from, by) in replace {
            assert!(text.contains(from), "{name} has no {from}");
            text = text.replace(from, by);
        }
        let path = self.path("local/rocketmq").join(to);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs a script there with this shell. Whatever it leaves running ends with it.
    pub(crate) fn run_with(&self, shell: &[&str], script: &str) -> Ran {
        let file = self.path("script.sh");
        fs::write(&file, format!("{PRELUDE}{script}")).unwrap();
        let mut command = Command::new("unshare");
        command
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--mount",
                "--pid",
                "--fork",
                // What is left running ends with it, also when a test gives up.
                "--kill-child",
                "--mount-proc",
            ])
            .args(shell)
            .arg(&file)
            .env("MACHINE", self.dir.path());
        for name in [
            "NAMESRV_ADDR",
            "ROCKETMQ_HOME",
            "ROCKETMQ_LOG",
            "CARGO_TARGET_DIR",
            "ROCKETMQ_LOG_TO",
        ] {
            command.env_remove(name);
        }
        // Guides read logs in files, which a container has only where it is told.
        command.env("ROCKETMQ_LOG_TO", "/root/logs/rocketmqlogs");
        let mut process = Process::start("a machine", command, &self.path("output"));
        process.close_stdin();
        let exit = process.wait_exit(LIMIT);
        Ran {
            code: exit.code(),
            text: process.lines().join("\n"),
        }
    }

    pub(crate) fn run(&self, script: &str) -> Ran {
        let ran = self.run_with(&["sh"], script);
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        ran
    }
}

impl Ran {
    pub(crate) fn count(&self, part: &str) -> usize {
        self.text.matches(part).count()
    }

    pub(crate) fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is missing:\n{}", self.text);
        }
    }
}

/// Makes a folder as `./release` does.
fn unpack(root: &Path) {
    fs::create_dir_all(root.join("lib")).unwrap();
    let script = repository().join("release");
    let made = Command::new(script).arg("--texts").arg(root).status().unwrap();
    assert!(made.success());
    for program in ["namesrv", "broker", "mqadmin", "mqconsole"] {
        fs::copy(our_program(program), root.join("lib").join(program)).unwrap();
    }
}

/// Words of a page that name files: what links point to, and what stands in code and begins with a folder.
fn named_files(page: &str) -> Vec<String> {
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let code = page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let code = code.filter(|word| {
        let begins = ["bin/", "conf/", "docs/", "lib/", "crates/", "fuzz/", "./"];
        begins.iter().any(|folder| word.starts_with(folder))
    });
    let all = links.filter(|link| !link.contains("://")).chain(code);
    let all = all.map(|word| word.split('#').next().unwrap_or_default().to_owned());
    all.collect()
}

/// README and pages of a release name no file that is not in it, nor anything that only a source tree can do.
#[test]
fn the_pages_of_a_release_name_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    let mut seen = 0;
    for page in ["README.md", "docs/operating.md", "docs/differences.md"] {
        let path = dir.path().join(page);
        let text = fs::read_to_string(&path).unwrap();
        for name in named_files(&text) {
            let found = [dir.path(), path.parent().unwrap()]
                .iter()
                .any(|folder| folder.join(&name).exists());
            assert!(found, "{page} names {name}");
            seen += 1;
        }
        for word in ["cargo ", "./test", "./release", "source tree"] {
            assert!(page != "README.md" || !text.contains(word), "{page}: {word}");
        }
    }
    assert!(seen > 8, "{seen}");
    // In the source tree the same words are found, and lead somewhere, too.
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for name in named_files(&readme) {
        assert!(
            name.starts_with("lib/") || repository().join(&name).exists(),
            "README.md names {name}"
        );
    }
}

/// A cluster guide: folders made before, names in /etc/hosts, `sed` over the log's files, a heap edited into the scripts, started
/// from inside bin/ with `2 >&1` typed as it stands there.
#[test]
fn the_guide_with_a_file_of_2m_2s_async() {
    let machine = Machine::new();
    machine.guide_file(
        "tutorial-2m-2s-async.properties",
        "conf/2m-2s-async/broker-a.properties",
        &[],
    );
    let ran = machine.run(
        r##"
        unset ROCKETMQ_LOG_TO
        mkdir /usr/local/rocketmq/store
        mkdir /usr/local/rocketmq/store/commitlog
        mkdir /usr/local/rocketmq/store/consumequeue
        mkdir /usr/local/rocketmq/store/index
        mkdir -p /usr/local/rocketmq/logs
        cd /usr/local/rocketmq/conf && sed -i 's#${user.home}#/usr/local/rocketmq#g' *.xml
        for file in runbroker.sh runserver.sh; do
            sed -i 's/^JAVA_OPT=.*/JAVA_OPT="${JAVA_OPT} -server -Xms1g -Xmx1g -Xmn1g"/' /usr/local/rocketmq/bin/$file
        done
        cd /usr/local/rocketmq/bin/
        nohup sh mqnamesrv &
        nohup sh mqbroker -c ../conf/2m-2s-async/broker-a.properties >/dev/null 2 >&1 &
        wait_for "boot success" /usr/local/rocketmq/logs/rocketmqlogs/namesrv.log
        wait_for "boot success" /usr/local/rocketmq/logs/rocketmqlogs/broker.log
        export NAMESRV_ADDR=rocketmq-nameserver1:9876
        sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        sh mqshutdown broker
        sh mqshutdown namesrv
        ls /usr/local/rocketmq/store/commitlog
        test ! -e /root/logs
        "##,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&["has stopped.", "00000000000000000000"]);
}

/// An installation guide of 4.2: PATH and ROCKETMQ_HOME of the profile (with the guide's own slip in the folder's name), a file
/// with blanks around `=` and before each line.
#[test]
fn the_guide_of_4_2() {
    let machine = Machine::new();
    machine.guide_file(
        "tutorial-4.2-broker.conf",
        "conf/broker.conf",
        &[("*.*.*.*", "127.0.0.1"), ("/data/rocketmq", "/usr/local/data")],
    );
    let ran = machine.run(
        r#"
        export ROCKETMQ_HOME=/usr/local/rocketMq
        export PATH=$ROCKETMQ_HOME/bin:$PATH
        export NAMESRV_ADDR=127.0.0.1:9876
        cd /usr/local/rocketmq/bin
        nohup sh mqnamesrv &
        wait_for "boot success" /root/logs/rocketmqlogs/namesrv.log
        tail /root/logs/rocketmqlogs/namesrv.log
        nohup sh mqbroker -n localhost:9876 -c ../conf/broker.conf &
        wait_for "boot success" /root/logs/rocketmqlogs/broker.log
        tail /root/logs/rocketmqlogs/broker.log
        sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        nohup sh mqshutdown broker
        nohup sh mqshutdown namesrv
        ls /usr/local/data/store/commitlog
        "#,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&[
        "broker-test",
        "The mqbroker(",
        "The mqnamesrv(",
        "00000000000000000000",
    ]);
}

/// The same profile with the folder spelled right, and a shell (bash, as `sh` is on CentOS) that finds `mqnamesrv` in PATH.
#[test]
fn scripts_are_found_in_path() {
    let machine = Machine::new();
    let script = r#"
        export PATH=/usr/local/rocketmq/bin:$PATH
        cd /tmp
        bash mqbroker -m
        CDPATH=/usr/local mqbroker -m
        mqadmin help
        bash mqshutdown broker || test $? = 255
        "#;
    let ran = machine.run_with(&["bash"], script);
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert_eq!(ran.count("brokerClusterName=DefaultCluster"), 2, "{}", ran.text);
    ran.has(&["Usage: mqadmin", "No mqbroker running."]);
}

/// A guide's four brokers of 2m-2s-sync on one host, whose ports (10911, 10912, 10931, 10932) meet those of replication.
#[test]
fn the_guide_with_four_brokers_on_one_host() {
    let machine = Machine::new();
    for (name, to) in [("a", "a"), ("a-s", "a-s"), ("b", "b"), ("b-s", "b-s")] {
        machine.guide_file(
            &format!("tutorial-2m-2s-sync-{name}.properties"),
            &format!("conf/2m-2s-sync/broker-{to}.properties"),
            &[],
        );
    }
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq
        for data in master1 master2 slave1 slave2; do
            mkdir -p ./data/$data/commitlog ./data/$data/consumequeue ./data/$data/index
        done
        cd bin
        ./mqnamesrv >/root/namesrv.out 2>&1 &
        wait_for "boot success" /root/namesrv.out
        for broker in a a-s b b-s; do
            ./mqbroker -c ./../conf/2m-2s-sync/broker-$broker.properties >/root/$broker.out 2>&1 &
        done
        for broker in a a-s b b-s; do
            wait_for "boot success" /root/$broker.out
            cat /root/$broker.out
        done
        export NAMESRV_ADDR=127.0.0.1:9876
        # The slaves follow wherever replication listens by now.
        for master in 10911 10912; do
            until ./mqadmin haStatus -b 127.0.0.1:$master | grep -q '#InSyncSlaveNum.*1'; do sleep 0.2; done
        done
        ./tools.sh org.apache.rocketmq.example.quickstart.Producer
        grep -rh "of replication, listenPort + 1, is" /root/logs/rocketmqlogs
        ./mqshutdown broker broker-b
        ./mqshutdown broker 10932
        ./mqshutdown namesrv
        ./mqshutdown broker
        for data in master1 master2 slave1 slave2; do ls -d ../data/$data/commitlog; done
        "#,
    );
    assert_eq!(ran.count("boot success"), 4, "{}", ran.text);
    assert_eq!(ran.count("SendResult [sendStatus=SEND_OK"), 1000, "{}", ran.text);
    // Each clash is in the log, with the port in its place.
    for port in [10912, 10932] {
        let clash = format!("port {port} of replication, listenPort + 1, is ");
        let named = |line: &str| line.contains(&clash) && line.contains("replication listens on ");
        assert!(ran.text.lines().any(named), "{port}: {}", ran.text);
    }
    for broker in ["broker-a", "broker-b"] {
        ran.has(&[&format!("brokerName={broker}, queueId")]);
    }
    assert_eq!(ran.count("has stopped."), 4, "{}", ran.text);
}

/// A guide for CentOS: output into files beside the scripts, three name servers of which one is there, and scripts for the boot,
/// which know neither HOME nor a terminal.
#[test]
fn the_guide_with_boot_scripts() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq/bin
        ./mqnamesrv > namesrv.log &
        ./mqbroker -c ../conf/broker.conf -n peer1:9876  >  broker.log &
        wait_for "boot success" broker.log
        NAMESRV_ADDR=peer1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        ./mqshutdown namesrv
        ./mqshutdown broker
        # The lines of the start before are no sign of this one.
        rm namesrv.log broker.log
        ./mqnamesrv > namesrv.log &
        ./mqbroker -c ../conf/broker.conf -n "peer1:9876;peer2:9876;peer3:9876"  >  broker.log &
        wait_for "boot success" broker.log
        ./mqshutdown broker
        ./mqshutdown namesrv

        cat >/root/start <<'START'
#!/bin/bash
export JAVA_HOME=/usr/local/java/jdk1.8.0_221   #必须得加上这个才行
nohup /bin/sh /usr/local/rocketmq/bin/mqnamesrv >> /usr/local/rocketmq/bin/namesrv.log &
nohup /bin/sh /usr/local/rocketmq/bin/mqbroker -c /usr/local/rocketmq/conf/broker.conf -n peer1:9876  >>  /usr/local/rocketmq/broker.log &
START
        cat >/root/stop <<'STOP'
#!/bin/bash
export JAVA_HOME=/usr/local/java/jdk1.8.0_221   #必须得加上这个才行
nohup /bin/sh /usr/local/rocketmq/bin/mqshutdown broker >>/dev/null
nohup /bin/sh /usr/local/rocketmq/bin/mqshutdown namesrv >>/dev/null
STOP
        chmod +x /root/start /root/stop
        env -i PATH="$PATH" ROCKETMQ_LOG_TO=/root/boot setsid /root/start </dev/null
        wait_for "boot success" /usr/local/rocketmq/broker.log
        env -i PATH="$PATH" setsid --wait /root/stop </dev/null
        sh mqshutdown broker && exit 1
        sh mqshutdown namesrv && exit 1
        exit 0
        "#,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&["No mqbroker running.", "No mqnamesrv running."]);
    assert_eq!(ran.count("has stopped."), 4, "{}", ran.text);
}

/// What `docker run … sh mqbroker -c …` of a guide does inside its container: the variables of the old image, mounted folders,
/// the file's `${ip}` filled in from the environment.
#[test]
fn the_guide_with_docker() {
    let machine = Machine::new();
    machine.guide_file("tutorial-docker-broker.conf", "conf/broker.conf", &[]);
    let ran = machine.run(
        r#"
        mkdir /root/logs /root/store
        cd /usr/local/rocketmq/bin
        MAX_POSSIBLE_HEAP=100000000 sh mqnamesrv &
        ip=127.0.0.1 NAMESRV_ADDR=127.0.0.1:9876 MAX_POSSIBLE_HEAP=200000000 sh mqbroker -c /usr/local/rocketmq/conf/broker.conf &
        wait_for "boot success" /root/logs/rocketmqlogs/broker.log
        NAMESRV_ADDR=127.0.0.1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        sh mqshutdown broker
        ls /root/store/commitlog
        "#,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&[
        "The broker[broker-a, 127.0.0.1:10911] boot success.",
        "00000000000000000000",
    ]);
}

/// The commands of README under "One by one", pasted: into a shell's input, so that a command that stays would take the rest.
#[test]
fn readme_one_by_one() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split("One by one").nth(1).unwrap();
    let section = section.split("`./release`").next().unwrap();
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    let [start, consume, stop] = blocks[..] else {
        panic!("three blocks: start and send, consume, stop: {blocks:?}");
    };
    let machine = Machine::new();
    let stub = machine.path("local/cargo");
    fs::write(&stub, "#!/bin/sh\necho cargo \"$@\"\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, block) in [("start", start), ("consume", consume), ("stop", stop)] {
        fs::write(machine.path(&format!("root/{name}")), block).unwrap();
    }
    let ran = machine.run(
        r#"
        export PATH=/usr/local:$PATH
        cd /usr/local/rocketmq
        sh </root/start
        (echo "export NAMESRV_ADDR=127.0.0.1:9876"; cat /root/consume) >/root/consume.sh
        sh /root/consume.sh >/root/consumed &
        until [ "$(grep -c "Receive New Messages" /root/consumed)" -ge 1000 ]; do sleep 0.1; done
        kill -INT $!
        sh </root/stop
        "#,
    );
    ran.has(&["cargo build --release"]);
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    assert_eq!(ran.count("has stopped."), 2, "{}", ran.text);
}

#[test]
fn quickstart_says_what_it_does_and_where_the_data_is() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq
        bin/quickstart --help
        bin/quickstart -h
        bin/quickstart --onec && exit 1
        ls /root
        bin/quickstart --once
        sh bin/mqshutdown broker || test $? = 255
        env -u HOME bin/quickstart --once | tail -n 1
        "#,
    );
    assert_eq!(ran.count("Usage: quickstart [--once]"), 3, "{}", ran.text);
    ran.has(&[
        "there is no option \"--onec\"",
        "... 1000 answered SEND_OK",
        "... 1000 received",
        "Messages are in /root/store.",
        "No mqbroker running.",
    ]);
    assert!(!ran.text.contains("write error"), "{}", ran.text);
}

#[test]
fn quickstart_has_a_console_and_does_without() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq
        for said in shown taken; do
            bin/quickstart >/root/$said &
            quickstart=$!
            until grep "^  a browser" /root/$said; do sleep 0.1; done
            kill $quickstart
            wait $quickstart
            if [ $said = shown ]; then
                NAMESRV_ADDR=127.0.0.1:9876 sh bin/mqconsole >/root/console &
                console=$!
                until grep "The console is at" /root/console; do sleep 0.1; done
            fi
        done
        kill $console
        wait $console
        "#,
    );
    ran.has(&[
        "a browser                   http://127.0.0.1:8080/\n",
        "a browser                   not here: mqconsole: 127.0.0.1:8080 can not be listened at",
    ]);
}

/// What `trap '' PIPE` leaves behind in a shell: a program that writes to a closed pipe is told so and complains.
#[test]
fn quickstart_without_cargo_and_with_pipes_that_complain() {
    let machine = Machine::new();
    fs::copy(repository().join("release"), machine.path("release")).unwrap();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq
        trap '' PIPE
        bin/quickstart --once
        touch Cargo.toml
        mkdir /root/few
        for tool in sh dirname; do ln -s "$(command -v $tool)" /root/few/; done
        PATH=/root/few bin/quickstart --once && exit 1
        PATH=/root/few sh "$MACHINE/release" && exit 1
        exit 0
        "#,
    );
    ran.has(&[
        "building it needs cargo, which is not in PATH",
        "Building needs cargo, which is not in PATH",
    ]);
    assert!(!ran.text.contains("write error"), "{}", ran.text);
}

#[test]
fn an_unknown_class_or_command_is_named() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq/bin
        sh tools.sh org.apache.rocketmq.example.quickstart.Produser && exit 1
        sh tools.sh 'a "b" $(touch /root/injected)' && exit 1
        sh mqadmin topicLost && exit 1
        test ! -e /root/injected
        sh tools.sh --help
        "#,
    );
    ran.has(&[
        "There is no program for the class org.apache.rocketmq.example.quickstart.Produser.",
        "There is no program for the class a \"b\" $(touch /root/injected).",
        "There is no command topicLost.",
        "org.apache.rocketmq.example.quickstart.Producer\n",
    ]);
}

/// The folder of the log in conf/logback_*.xml: edited by hand, in files of a Java RocketMQ, against what counts more.
#[test]
fn an_edited_log_folder_is_honoured() {
    let machine = Machine::new();
    let ran = machine.run(
        r##"
        unset ROCKETMQ_LOG_TO
        cd /usr/local/rocketmq/conf
        started() {
            # The line of the start before is no sign of this one.
            rm -f /root/out
            sh ../bin/mqnamesrv "$@" >/root/out 2>&1 &
            wait_for "boot success" /root/out
            kill $!
            wait $!
        }
        sed -i "s#\${user.home}/logs/rocketmqlogs#/root/o'ne \"two\" \$x#" logback_namesrv.xml
        started
        ls /root/*two*
        started --log-to /root/flag
        ROCKETMQ_LOG_TO=/root/variable started
        ls /root/flag /root/variable
        cat >rmq.namesrv.logback.xml <<'XML'
        <appender><file>${user.home}${file.separator}five${file.separator}${brokerLogDir:-${file.separator}}${file.separator}namesrv_default.log</file></appender>
        <appender><file>/nowhere/other.log</file></appender>
XML
        sed -i 's/$/\r/' rmq.namesrv.logback.xml
        started
        ls /root/five
        env -u HOME sh ../bin/mqnamesrv -p | grep listenPort
        echo '<file>${no.such.thing}/namesrv.log</file>' >rmq.namesrv.logback.xml
        started
        cat /root/out
        "##,
    );
    assert_eq!(ran.count("namesrv.log"), 5, "{}", ran.text);
    ran.has(&["warning: the folder of /usr/local/rocketmq/conf/rmq.namesrv.logback.xml is not known: ${no.such.thing}"]);
}

/// `nohup` servers go on when the terminal is closed.
#[test]
fn a_closed_terminal_ends_no_server_under_nohup() {
    let ran = Machine::new().run(
        r#"
        cd /usr/local/rocketmq/bin
        nohup sh mqnamesrv >/root/namesrv.out 2>&1 &
        namesrv=$!
        nohup sh mqbroker -n 127.0.0.1:9876 >/root/broker.out 2>&1 &
        broker=$!
        wait_for "boot success" /root/namesrv.out
        wait_for "boot success" /root/broker.out
        kill -HUP $namesrv $broker
        NAMESRV_ADDR=127.0.0.1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        sh mqshutdown broker
        "#,
    );
    ran.has(&["sendStatus=SEND_OK", "has stopped."]);
}

/// Files with a byte order mark and line ends of Windows, paths with blanks and quotes, variables that are set and empty, names
/// that a shell could run.
#[test]
fn odd_files_paths_names_and_variables() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        unset ROCKETMQ_LOG_TO
        mv /usr/local/rocketmq "/usr/local/o'ne \"two\" \$x"
        ln -s "o'ne \"two\" \$x" /usr/local/current
        cd /usr/local
        export NAMESRV_ADDR= ROCKETMQ_HOME= ROCKETMQ_LOG_TO= CARGO_TARGET_DIR= CDPATH=/usr
        sh current/bin/mqnamesrv --log-to stdout >/root/namesrv.out 2>&1 &
        file="/root/it's \$(touch injected) broker.conf"
        printf '\357\273\277brokerName=broker-x\r\nlistenPort=20911\r\nnamesrvAddr=127.0.0.1:9876\r\n' >"$file"
        sh current/bin/mqbroker --log-to stdout -c "$file" >/root/broker.out 2>&1 &
        wait_for "boot success" /root/namesrv.out
        wait_for "boot success" /root/broker.out
        cat /root/broker.out
        NAMESRV_ADDR=127.0.0.1:9876 sh current/bin/tools.sh org.apache.rocketmq.example.quickstart.Producer
        for name in '' 'x$(touch /root/injected)' '`touch /root/injected`' '-c' '*' '.*'; do
            sh current/bin/mqshutdown broker "$name" && exit 1
        done
        sh current/bin/mqshutdown broker "${file##*/}"
        ls /root /usr/local
        "#,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&[
        "The broker[broker-x, ",
        ":20911] boot success. serializeType=JSON and name server is 127.0.0.1:9876",
        "No mqbroker named \"\" running.",
        "broker-x, port 20911, started with /root/it's $(touch injected) broker.conf",
        "has stopped.",
    ]);
    assert!(!ran.text.contains("\ninjected"), "{}", ran.text);
}
