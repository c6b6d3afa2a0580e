//! The image and the manifests of `conf/`: what they say fits what the programs take, and what they start serves.

use crate::first_hour::Machine;
use crate::yaml::{at, documents, list_at, text_at};
use cluster::{our_program, repository};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn conf(below: &str) -> PathBuf {
    repository().join("conf").join(below)
}

/// Instructions of the image and what stands behind them.
fn image() -> Vec<(String, String)> {
    let text = fs::read_to_string(conf("container/Containerfile"))
        .unwrap()
        .replace("\\\n", " ");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').unwrap();
            (instruction.to_owned(), rest.to_owned())
        })
        .collect()
}

fn of<'i>(image: &'i [(String, String)], instruction: &str) -> Vec<&'i str> {
    let all = image.iter().filter(|(name, _)| name == instruction);
    all.map(|(_, rest)| rest.as_str()).collect()
}

fn manifests() -> Vec<Value> {
    let kustomization = &documents(&conf("kubernetes/kustomization.yaml"))[0];
    let files = list_at(kustomization, "/resources").iter();
    let files: Vec<&str> = files.map(|file| file.as_str().unwrap()).collect();
    let there: BTreeSet<String> = fs::read_dir(conf("kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    assert_eq!(there, files.iter().map(|file| (*file).to_owned()).collect());
    files
        .iter()
        .flat_map(|file| documents(&conf("kubernetes").join(file)))
        .collect()
}

fn of_kind<'m>(manifests: &'m [Value], kind: &str) -> BTreeMap<&'m str, &'m Value> {
    let all = manifests
        .iter()
        .filter(|manifest| text_at(manifest, "/kind") == kind);
    all.map(|manifest| (text_at(manifest, "/metadata/name"), manifest))
        .collect()
}

/// Properties files of all ConfigMaps by name.
fn properties(manifests: &[Value]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for map in of_kind(manifests, "ConfigMap").values() {
        for (name, text) in at(map, "/data").as_object().unwrap() {
            files.insert(name.clone(), text.as_str().unwrap().to_owned());
        }
    }
    files
}

fn value<'t>(properties: &'t str, key: &str) -> Option<&'t str> {
    let line = properties
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.map(str::trim)
}

/// What the release makes is what the image takes, and it runs as nobody special.
#[test]
fn an_image_of_the_archive_alone() {
    let image = image();
    let (from, add, user) = (of(&image, "FROM"), of(&image, "ADD"), of(&image, "USER"));
    assert_eq!(
        (from.len(), add, user),
        (1, vec!["rocketmq.tar.gz /opt/"], vec!["3000:3000"])
    );
    assert!(of(&image, "COPY").is_empty() && of(&image, "ENTRYPOINT").is_empty());
    let machine = Machine::new();
    let workdir = of(&image, "WORKDIR")[0];
    let home = workdir.strip_prefix("/opt/rocketmq/").expect("below the archive");
    for script in ["mqnamesrv", "mqbroker", "mqadmin", "mqconsole", "mqshutdown"] {
        assert!(
            machine.path("local/rocketmq").join(home).join(script).exists(),
            "{script}"
        );
    }
    let exposed: Vec<u16> = of(&image, "EXPOSE")[0]
        .split(' ')
        .map(|port| port.parse().unwrap())
        .collect();
    assert_eq!(exposed, [9876, 10_909, 10_911, 10_912]);
    for (key, value) in [
        ("ROCKETMQ_HOME", "/opt/rocketmq"),
        ("HOME", "/home/rocketmq"),
        ("container", "oci"),
    ] {
        assert!(
            of(&image, "ENV").contains(&format!("{key}={value}").as_str()),
            "{key}"
        );
    }
}

/// The commands of guides with the image's folder and environment: logs on stdout, files where logs are mounted, and a word about
/// variables of Java.
#[test]
fn commands_of_guides_in_the_image() {
    let image = image();
    let env: Vec<String> = of(&image, "ENV").iter().map(|pair| (*pair).to_owned()).collect();
    let machine = Machine::new();
    let script = format!(
        r#"
        mkdir -p /root/opt/rocketmq /root/home/store
        cp -R /usr/local/rocketmq/. /root/opt/rocketmq/
        mount -t tmpfs tmpfs /opt && mkdir /opt/rocketmq && mount --bind /root/opt/rocketmq /opt/rocketmq
        mount -t tmpfs tmpfs /home && mkdir /home/rocketmq && mount --bind /root/home /home/rocketmq
        cd {workdir}
        in_image() {{ env -i PATH="$PATH" {env} "$@"; }}
        in_image JAVA_OPT=-Dtls.server.mode=enforcing MAX_POSSIBLE_HEAP=100000000 sh mqnamesrv >/root/namesrv 2>&1 &
        in_image NAMESRV_ADDR=127.0.0.1:9876 sh mqbroker -c ../conf/broker.conf >/root/broker 2>&1 &
        # The name server may be the later one, and then the broker tells it when it looks again.
        wait_for 'registered at name server' /root/broker
        in_image NAMESRV_ADDR=127.0.0.1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        cat /root/namesrv /root/broker
        ls /home/rocketmq/store/commitlog
        ls /home/rocketmq
        {cmd}
        "#,
        workdir = of(&image, "WORKDIR")[0],
        env = env.join(" "),
        cmd = of(&image, "CMD")[0].replace(['[', ']', ',', '"'], " "),
    );
    let ran = machine.run(&script);
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    ran.has(&[
        "note: JAVA_OPT MAX_POSSIBLE_HEAP: without effect",
        "The Name Server boot success",
        "- registered at name server 127.0.0.1:9876",
        "00000000000000000000",
        "--support-bundle",
    ]);
    // Nothing was mounted for logs.
    assert!(!ran.text.lines().any(|line| line == "logs"), "{}", ran.text);
}

#[test]
fn settings_of_the_manifests_are_taken() {
    let manifests = manifests();
    let files = properties(&manifests);
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [
            "broker-a-0.properties",
            "broker-a-1.properties",
            "broker-b-0.properties",
            "broker-b-1.properties",
            "namesrv.properties"
        ]
    );
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in &files {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        let program = if name == "namesrv.properties" {
            "namesrv"
        } else {
            "broker"
        };
        let output = Command::new(our_program(program))
            .args(["--check-config", "-c"])
            .arg(&file)
            .env("HOME", dir.path())
            .env("POD_IP", "127.0.0.1")
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        // About the file there is nothing to say; the host is not the one that it is meant for.
        for line in said.lines().filter(|line| line.contains(&format!("{name}:"))) {
            let of_host = [
                "name server ",
                "port ",
                "storePathRootDir=",
                "kvConfigPath=",
                "brokerIP",
            ];
            assert!(
                line.starts_with("OK: ")
                    || of_host.iter().any(|part| line.contains(part))
                    || line.contains(" errors, "),
                "{line}"
            );
        }
        let mut notes = said.lines().filter(|line| line.starts_with("note: "));
        assert!(
            notes.all(|note| note.contains("no broker has run on storePathRootDir=")),
            "{said}"
        );
        assert!(said.contains(" errors, "), "{said}");
    }
    // The brokers are those of conf/2m-2s-sync.
    for broker in ["a", "b"] {
        for (pod, of_conf) in [("0", ""), ("1", "-s")] {
            let ours = &files[&format!("broker-{broker}-{pod}.properties")];
            let theirs =
                fs::read_to_string(conf(&format!("2m-2s-sync/broker-{broker}{of_conf}.properties"))).unwrap();
            for key in [
                "brokerClusterName",
                "brokerName",
                "brokerId",
                "brokerRole",
                "flushDiskType",
                "deleteWhen",
                "fileReservedTime",
            ] {
                assert_eq!(value(ours, key), value(&theirs, key), "{broker}-{pod}: {key}");
            }
        }
    }
}

/// Ports, paths, names and users of the manifests agree with their settings and with the image.
#[test]
fn manifests_agree_with_their_settings_and_the_image() {
    let (image, manifests) = (image(), manifests());
    let files = properties(&manifests);
    let (sets, services) = (of_kind(&manifests, "StatefulSet"), of_kind(&manifests, "Service"));
    let budgets = of_kind(&manifests, "PodDisruptionBudget");
    assert_eq!(
        sets.keys().collect::<Vec<_>>(),
        [&"broker-a", &"broker-b", &"namesrv"]
    );
    for (name, set) in &sets {
        assert_eq!(text_at(set, "/apiVersion"), "apps/v1");
        let labels = at(set, "/spec/template/metadata/labels");
        let service = services[text_at(set, "/spec/serviceName")];
        for selector in [
            at(set, "/spec/selector/matchLabels"),
            at(service, "/spec/selector"),
            at(budgets[name], "/spec/selector/matchLabels"),
        ] {
            assert_eq!(selector, labels, "{name}");
        }
        assert_eq!(text_at(budgets[name], "/spec/maxUnavailable"), "1");
        assert_eq!(text_at(service, "/spec/clusterIP"), "None");
        let pod = at(set, "/spec/template/spec");
        let container = at(pod, "/containers/0");
        let replicas: usize = text_at(set, "/spec/replicas").parse().unwrap();
        let own: Vec<&String> = match *name {
            "namesrv" => vec![&files["namesrv.properties"]],
            broker => (0..replicas)
                .map(|pod| &files[&format!("{broker}-{pod}.properties")])
                .collect(),
        };
        // Ports: of the container, of the service, and what the settings listen on.
        let ports = |list: &[Value], key: &str| -> BTreeMap<String, u16> {
            let ports = list.iter();
            ports
                .map(|port| {
                    (
                        text_at(port, "/name").to_owned(),
                        text_at(port, key).parse().unwrap(),
                    )
                })
                .collect()
        };
        let opened = ports(list_at(container, "/ports"), "/containerPort");
        assert_eq!(opened, ports(list_at(service, "/spec/ports"), "/port"), "{name}");
        for settings in &own {
            let listen: u16 = value(settings, "listenPort").unwrap().parse().unwrap();
            let metrics: u16 = value(settings, "metricsPromExporterPort")
                .unwrap()
                .parse()
                .unwrap();
            let mut wanted = BTreeMap::from([("metrics".to_owned(), metrics)]);
            match *name {
                "namesrv" => drop(wanted.insert("namesrv".to_owned(), listen)),
                _ => wanted.extend([
                    ("clients".to_owned(), listen),
                    ("vip".to_owned(), listen - 2),
                    ("replication".to_owned(), listen + 1),
                ]),
            }
            assert_eq!(opened, wanted, "{name}");
            let drain = value(settings, "shutdownDrainMillis").map_or(0, |text| text.parse().unwrap());
            let grace = pod
                .pointer("/terminationGracePeriodSeconds")
                .map_or(30, |seconds| seconds.as_str().unwrap().parse::<u64>().unwrap());
            assert!(
                grace * 1000 > drain + 30_000 || drain == 0,
                "{name}: {grace} s, {drain} ms"
            );
        }
        // Health.
        for (probe, page) in [
            ("startupProbe", "/livez"),
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(text_at(container, &format!("/{probe}/httpGet/path")), page);
            assert!(opened.contains_key(text_at(container, &format!("/{probe}/httpGet/port"))));
        }
        // Who it runs as, and what it may write.
        let user = of(&image, "USER")[0].split(':').next().unwrap();
        assert_eq!(text_at(pod, "/securityContext/runAsNonRoot"), "true");
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(
                text_at(pod, &format!("/securityContext/{key}")),
                user,
                "{name}: {key}"
            );
        }
        assert_eq!(
            text_at(container, "/securityContext/allowPrivilegeEscalation"),
            "false"
        );
        assert_eq!(
            text_at(container, "/securityContext/readOnlyRootFilesystem"),
            "true"
        );
        let mounts: BTreeMap<&str, &str> = list_at(container, "/volumeMounts")
            .iter()
            .map(|mount| (text_at(mount, "/mountPath"), text_at(mount, "/name")))
            .collect();
        let claim = text_at(set, "/spec/volumeClaimTemplates/0/metadata/name");
        let env = list_at(container, "/env");
        let home = env
            .iter()
            .find(|variable| text_at(variable, "/name") == "HOME")
            .unwrap();
        let home = text_at(home, "/value");
        assert!(of(&image, "ENV").contains(&format!("HOME={home}").as_str()));
        for settings in &own {
            let kept = match *name {
                "namesrv" => {
                    value(settings, "kvConfigPath")
                        .unwrap()
                        .rsplit_once('/')
                        .unwrap()
                        .0
                }
                _ => value(settings, "storePathRootDir").unwrap(),
            };
            let kept = kept.replace("${user.home}", home);
            assert_eq!(mounts.get(kept.as_str()), Some(&claim), "{name}: {kept}");
        }
        assert_eq!(mounts.get("/etc/rocketmq"), Some(&"settings"));
        assert_eq!(text_at(pod, "/volumes/0/configMap/name"), *name);
        // The name servers are those of the other set.
        if *name != "namesrv" {
            let service = text_at(sets["namesrv"], "/spec/serviceName");
            let count: usize = text_at(sets["namesrv"], "/spec/replicas").parse().unwrap();
            let port = value(&files["namesrv.properties"], "listenPort").unwrap();
            let list: Vec<String> = (0..count)
                .map(|pod| format!("namesrv-{pod}.{service}:{port}"))
                .collect();
            for settings in &own {
                assert_eq!(value(settings, "namesrvAddr"), Some(list.join(";").as_str()));
            }
        }
    }
}

/// What the pods run, on one machine: the name server and the master of broker-a are ready.
#[test]
fn commands_of_the_manifests_start_servers_that_are_ready() {
    let manifests = manifests();
    let sets = of_kind(&manifests, "StatefulSet");
    let command = |name: &str| {
        let words = list_at(sets[name], "/spec/template/spec/containers/0/command").iter();
        let words: Vec<String> = words
            .map(|word| format!("'{}'", word.as_str().unwrap()))
            .collect();
        words.join(" ")
    };
    let machine = Machine::new();
    let hosts = machine.path("hosts");
    let names = fs::read_to_string(&hosts).unwrap() + "127.0.0.1 namesrv-0.namesrv namesrv-1.namesrv\n";
    fs::write(&hosts, names).unwrap();
    fs::create_dir(machine.path("root/settings")).unwrap();
    for (name, text) in properties(&manifests) {
        // One network for two servers: each has another port of metrics.
        let text = match name.as_str() {
            "namesrv.properties" => text.replace("ExporterPort=5557", "ExporterPort=5556"),
            _ => text,
        };
        fs::write(machine.path("root/settings").join(name), text).unwrap();
    }
    let script = format!(
        r#"
        mkdir /root/etc && mount -t tmpfs tmpfs /root/etc && cp /etc/passwd /etc/hosts /etc/nsswitch.conf /root/etc/
        mkdir /root/etc/rocketmq && cp /root/settings/* /root/etc/rocketmq/ && mount --bind /root/etc /etc
        cd /usr/local/rocketmq/bin
        {namesrv} >/root/namesrv.out 2>&1 &
        wait_for 'boot success' /root/namesrv.out
        POD_NAME=broker-a-0 POD_IP=127.0.0.1 {broker} >/root/broker.out 2>&1 &
        wait_for 'boot success' /root/broker.out
        wait_for 'registered at name server namesrv-0.namesrv:9876' /root/broker.out
        ask() {{ exec 3<>"/dev/tcp/127.0.0.1/$1"; printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3; cat <&3; }}
        ask 5556 /readyz
        ask 5557 /livez
        ask 5557 /readyz
        "#,
        namesrv = command("namesrv"),
        broker = command("broker-a"),
    );
    let ran = machine.run_with(&["bash"], &script);
    assert_eq!(ran.count("HTTP/1.0 200 OK"), 3, "{}", ran.text);
    assert_eq!(ran.count("\nready"), 2, "{}", ran.text);
}
