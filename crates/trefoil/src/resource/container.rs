//! The container and the pod that the process runs in.

use std::collections::BTreeMap;

/// Where Kubernetes puts the namespace of a pod.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Attributes by the names of the semantic conventions.
pub(super) fn detect(variables: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let mut attributes = Vec::new();
    let lines = ["/proc/self/cgroup", "/proc/self/mountinfo"];
    let texts = lines.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    if let Some(id) = texts.filter_map(|text| container_id(&text)).next() {
        attributes.push(("container.id", id));
    }
    if variables.contains_key("KUBERNETES_SERVICE_HOST") {
        attributes.extend(pod(variables, std::fs::read_to_string(NAMESPACE).ok()));
    }
    attributes
}

/// Under the names that manifests usually give to fields of the downward API.
fn pod(
    variables: &BTreeMap<String, String>,
    namespace: Option<String>,
) -> Vec<(&'static str, String)> {
    let first = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| variables.get(*name));
        values.find(|value| !value.is_empty()).cloned()
    };
    // A pod's host name is its name unless the manifest says otherwise.
    let name = first(&["K8S_POD_NAME", "POD_NAME", "KUBERNETES_POD_NAME", "HOSTNAME"]);
    let namespace = first(&["K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE"])
        .or_else(|| namespace.map(|name| name.trim().to_owned()));
    let all = [
        ("k8s.pod.name", name),
        ("k8s.namespace.name", namespace),
        ("k8s.pod.uid", first(&["K8S_POD_UID", "POD_UID"])),
        ("k8s.node.name", first(&["K8S_NODE_NAME", "NODE_NAME"])),
        ("k8s.container.name", first(&["K8S_CONTAINER_NAME", "CONTAINER_NAME"])),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The id that runtimes put into the paths of a container: 64 hexadecimal digits. Of control
/// groups' second version they stand in `mountinfo` alone, in the paths of Docker, containerd
/// and Podman.
fn container_id(text: &str) -> Option<String> {
    const DIGITS: usize = 64;
    for line in text.lines() {
        // `mountinfo` also has the layers of the image, whose digests look alike.
        let is_mount = line.contains(" - ");
        if is_mount && !(line.contains("/containers/") || line.contains("/sandboxes/")) {
            continue;
        }
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        let is_id = |word: &&str| {
            word.len() == DIGITS && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if let Some(id) = words.rfind(is_id) {
            return Some(id.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f29abf9c5dcd2bd6c1a2ac5ff2a4b2f1f0a9c8d7e6f5a4b3c2d1e0f9a8b7c6d";

    #[test]
    fn a_container_is_known_by_its_control_group() {
        for line in [
            format!("12:pids:/docker/{ID}"),
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("1:name=systemd:/kubepods/besteffort/pod1234-56/{ID}"),
            format!("0::/../cri-containerd-{ID}.scope"),
            format!(
                "729 700 254:1 /docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw"
            ),
        ] {
            assert_eq!(container_id(&line).as_deref(), Some(ID), "{line}");
        }
        for line in [
            "0::/".to_owned(),
            "0::/user.slice/user-0.slice/session-1.scope".to_owned(),
            format!("36 35 0:3 /overlay2/{ID}/diff / rw - overlay overlay rw"),
        ] {
            assert_eq!(container_id(&line), None, "{line}");
        }
    }

    #[test]
    fn a_pod_is_known_by_the_downward_api() {
        let variables = [("POD_NAME", "api-7d9"), ("NODE_NAME", "node-3"), ("HOSTNAME", "other")];
        let variables = variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let attributes = pod(&variables, Some("shop\n".to_owned()));
        let expected = [
            ("k8s.pod.name", "api-7d9"),
            ("k8s.namespace.name", "shop"),
            ("k8s.node.name", "node-3"),
        ];
        assert_eq!(attributes, expected.map(|(k, v)| (k, v.to_owned())));
    }
}
