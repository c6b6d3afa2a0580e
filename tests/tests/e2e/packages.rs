//! Packages: what is in those for Debian and Red Hat, their units, that these start servers that work; and the bill of materials.

use crate::first_hour::Machine;
use cluster::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const UNITS: [&str; 2] = ["rocketmq-namesrv.service", "rocketmq-broker@.service"];

fn made(machine: &Machine) {
    release(
        "--deb",
        &[
            &machine.path("local/rocketmq"),
            &machine.path("local/rocketmq.deb"),
        ],
    );
}

fn release(option: &str, args: &[&Path]) {
    let _turn = cluster::Turn::begin();
    let made = Command::new(repository().join("release"))
        .arg(option)
        .args(args)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn dpkg_deb(args: &[&Path]) -> String {
    let output = Command::new("dpkg-deb").args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_package_has_programs_settings_and_units() {
    let machine = Machine::new();
    made(&machine);
    let deb = machine.path("local/rocketmq.deb");
    let files = dpkg_deb(&["-c".as_ref(), &deb]);
    for file in [
        "./usr/lib/rocketmq/lib/broker",
        "./usr/lib/rocketmq/lib/namesrv",
        "./usr/lib/rocketmq/lib/mqadmin",
        "./usr/lib/rocketmq/lib/mqconsole",
        "./usr/bin/mqconsole -> ../lib/rocketmq/bin/mqconsole",
        "./usr/bin/mqshutdown -> ../lib/rocketmq/bin/mqshutdown",
        "./etc/rocketmq/broker.properties",
        "./etc/rocketmq/namesrv.properties",
        "./usr/lib/sysusers.d/rocketmq.conf",
    ] {
        assert!(files.lines().any(|line| line.ends_with(file)), "{file}: {files}");
    }
    for line in files.lines() {
        assert!(line.contains(" root/root "), "{line}");
        // Nobody but its owner changes a file.
        assert!(line.starts_with('l') || !line[5..10].contains('w'), "{line}");
    }
    let root = machine.path("control");
    dpkg_deb(&["-e".as_ref(), &deb, &root]);
    let conffiles = fs::read_to_string(root.join("conffiles")).unwrap();
    assert_eq!(
        conffiles,
        "/etc/rocketmq/namesrv.properties\n/etc/rocketmq/broker.properties\n"
    );
    for script in ["postinst", "prerm", "postrm"] {
        let parsed = Command::new("sh")
            .arg("-n")
            .arg(root.join(script))
            .status()
            .unwrap();
        assert!(parsed.success(), "{script}");
    }
}

#[test]
fn its_units_make_sense_to_systemd() {
    let machine = Machine::new();
    made(&machine);
    let root = machine.path("root/unpacked");
    dpkg_deb(&["-x".as_ref(), &machine.path("local/rocketmq.deb"), &root]);
    for unit in UNITS {
        let file = root.join("usr/lib/systemd/system").join(unit);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("\nExecStart=/bin/sh /usr/lib/rocketmq/bin/mq"),
            "{text}"
        );
        // It looks for the programs.
        let below = format!(" {}/usr/lib/rocketmq/", root.display());
        fs::write(&file, text.replace(" /usr/lib/rocketmq/", &below)).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        // What is odd about other units of the machine is not ours.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("rocketmq")).collect();
        assert!(verified.status.success() && ours.is_empty(), "{unit}: {said}");
    }
}

/// The commands of the units, on a machine whose folders are below another one.
#[test]
fn its_units_start_servers_that_take_and_give_messages() {
    let machine = Machine::new();
    made(&machine);
    let ran = machine.run(
        r#"
        root=/usr/local/unpacked
        dpkg-deb -x /usr/local/rocketmq.deb $root
        below() { sed "s#/usr/lib/#$root/usr/lib/#g; s#/etc/#$root/etc/#g; s#/var/#$root/var/#g; s#%i#$2#g" "$root/usr/lib/systemd/system/$1"; }
        start() {
            below "$1" "$2" >unit
            (
                export $(sed -n 's/^Environment=//p' unit)
                mkdir -p $HOME
                exec $(sed -n 's/^ExecStart=//p' unit)
            ) >/dev/null 2>&1 &
        }
        start rocketmq-namesrv.service ''
        wait_for 'boot success' $root/var/log/rocketmq/namesrv/namesrv.log
        start rocketmq-broker@.service broker
        wait_for 'boot success' $root/var/log/rocketmq/broker/broker.log
        export NAMESRV_ADDR=127.0.0.1:9876
        sh $root/usr/lib/rocketmq/bin/tools.sh org.apache.rocketmq.example.quickstart.Producer >sent
        grep -c 'sendStatus=SEND_OK' sent
        ls $root/var/lib/rocketmq/store/commitlog
        sh $root/usr/bin/mqshutdown broker
        sh $root/usr/bin/mqshutdown namesrv
        "#,
    );
    ran.has(&["1000", "00000000000000000000"]);
}

#[test]
fn a_package_for_red_hat_has_the_same() {
    let machine = Machine::new();
    // What is in the programs takes minutes to pack and is of no account here.
    for program in ["broker", "namesrv", "mqadmin", "mqconsole"] {
        let stub = "#!/bin/sh\necho mqbroker 1.2.3, a stub\n";
        fs::write(machine.path("local/rocketmq/lib").join(program), stub).unwrap();
    }
    made(&machine);
    let rpm = machine.path("local/rocketmq.rpm");
    release("--rpm", &[&machine.path("local/rocketmq"), &rpm]);
    let query = |args: &[&str]| {
        let output = Command::new("rpm")
            .args(["-qp"])
            .args(args)
            .arg(&rpm)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let deb = dpkg_deb(&["-c".as_ref(), &machine.path("local/rocketmq.deb")]);
    let names = deb.lines().map(|line| line.split(" ./").nth(1).unwrap());
    let names = names
        .map(|name| name.split(" -> ").next().unwrap())
        .filter(|name| !name.is_empty() && !name.ends_with('/'));
    let of_deb: BTreeSet<String> = names.map(|name| format!("/{name}")).collect();
    let listed = query(&[
        "--queryformat",
        "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]",
    ]);
    let of_rpm: BTreeSet<String> = listed
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert!(of_deb.len() > 30, "{of_deb:?}");
    assert_eq!(of_rpm, of_deb);
    for line in listed.lines() {
        assert!(line.contains(" root "), "{line}");
        assert!(line.starts_with('l') || !line[5..10].contains('w'), "{line}");
    }
    assert_eq!(
        query(&["-c"]),
        "/etc/rocketmq/broker.properties\n/etc/rocketmq/namesrv.properties\n"
    );
    let scripts = query(&["--scripts"]);
    for part in [
        "systemd-sysusers rocketmq.conf",
        "chown -R rocketmq:rocketmq /etc/rocketmq",
        "systemctl stop",
    ] {
        assert!(scripts.contains(part), "{scripts}");
    }
    assert!(scripts.contains("if [ \"$1\" = 0 ]"), "{scripts}");
}

/// Every crate of the programs with the sum that Cargo.lock has, and none that only tests have.
#[test]
fn the_bill_of_materials_names_what_is_in_the_programs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rocketmq.cdx.json");
    release("--sbom", &[&file]);
    let bill: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (bill["bomFormat"].as_str(), bill["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.5"))
    );
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let mut names = BTreeSet::new();
    for component in bill["components"].as_array().unwrap() {
        let text = |pointer: &str| {
            component
                .pointer(pointer)
                .and_then(|value| value.as_str())
                .unwrap()
        };
        let (name, version, sum) = (text("/name"), text("/version"), text("/hashes/0/content"));
        let entry = lock
            .split("[[package]]\n")
            .find(|entry| entry.starts_with(&format!("name = \"{name}\"\nversion = \"{version}\"\n")))
            .unwrap_or_else(|| panic!("{name} {version}"));
        assert!(entry.contains(&format!("checksum = \"{sum}\"")), "{component}");
        assert_eq!(text("/purl"), format!("pkg:cargo/{name}@{version}"));
        assert!(!text("/licenses/0/expression").contains('/'), "{component}");
        names.insert(name.to_owned());
    }
    for name in [
        "tokio",
        "rustls",
        "ring",
        "libc",
        "serde_json",
        "jiff",
        "saphyr-parser",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    for name in ["proptest", "loom", "tempfile", "prometheus-parse"] {
        assert!(!names.contains(name), "{name}");
    }
}
