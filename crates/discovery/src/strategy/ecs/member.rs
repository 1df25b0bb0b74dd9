//! Members among the tasks, and their attributes.

use aws_sdk_ecs::types::Task;

use super::Own;
use crate::StrategyError;
use crate::aws::Expected;

/// Whether the task runs and is to continue. A draining one has another desired status, or is deactivating, stopping,
/// deprovisioning or stopped; a starting one is not running yet.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>
pub(super) fn is_in_service(task: &Task) -> bool {
    let is_running = |status: Option<&str>| status == Some("RUNNING");
    is_running(task.last_status()) && is_running(task.desired_status())
}

/// Whether the task drains, stops or has stopped.
pub(super) fn is_ending(task: &Task) -> bool {
    const LAST: [&str; 4] = ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"];
    task.desired_status() == Some("STOPPED") || task.last_status().is_some_and(|status| LAST.contains(&status))
}

pub(super) fn arn(task: &Task) -> String {
    task.task_arn().unwrap_or("a task").to_owned()
}

/// The value of a variable of the strategy.
pub(super) fn value(task: &Task, variable: &str) -> Option<String> {
    match variable {
        "private_ip" => interface(task, "privateIPv4Address").or_else(|| address(task, |it| it.private_ipv4_address())),
        "private_dns" => interface(task, "privateDnsName"),
        "ipv6" => interface(task, "ipv6Address").or_else(|| address(task, |it| it.ipv6_address())),
        "task_id" => task.task_arn().and_then(last).map(str::to_owned),
        "family" => Some(definition(task)?.0.to_owned()),
        "revision" => Some(definition(task)?.1.to_owned()),
        "service" => task.group()?.strip_prefix("service:").map(str::to_owned),
        "availability_zone" => task.availability_zone().map(str::to_owned),
        _ => {
            let key = variable.strip_prefix("tag:")?;
            tags(task).into_iter().find(|(found, _)| found == key).map(|(_, value)| value)
        }
    }
}

pub(super) fn tags(task: &Task) -> Vec<(String, String)> {
    let pair =
        |tag: &aws_sdk_ecs::types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    task.tags().iter().filter_map(pair).collect()
}

/// The digest of a container's image.
pub(super) fn digest<'a>(task: &'a Task, container: &str) -> Option<&'a str> {
    let container = task.containers().iter().find(|it| it.name() == Some(container))?;
    container.image_digest().filter(|digest| !digest.is_empty())
}

/// A detail of the task's elastic network interface.
fn interface(task: &Task, detail: &str) -> Option<String> {
    let interfaces = task.attachments().iter().filter(|it| it.r#type() == Some("ElasticNetworkInterface"));
    let mut attached = interfaces.filter(|it| it.status().is_none_or(|status| status == "ATTACHED"));
    let details = attached.next()?.details();
    let value = details.iter().find(|pair| pair.name() == Some(detail))?.value()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// A value of the interface, from the containers.
fn address(task: &Task, of: impl Fn(&aws_sdk_ecs::types::NetworkInterface) -> Option<&str>) -> Option<String> {
    let mut interfaces = task.containers().iter().flat_map(|container| container.network_interfaces());
    interfaces.find_map(|interface| of(interface).filter(|address| !address.is_empty()).map(str::to_owned))
}

/// Family and revision of `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION`.
fn definition(task: &Task) -> Option<(&str, &str)> {
    last(task.task_definition_arn()?)?.rsplit_once(':')
}

fn last(arn: &str) -> Option<&str> {
    arn.rsplit('/').next()
}

/// The requirements on a running task to be a member.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) revision: Option<Expected>,
    pub(super) image: Option<Expected>,
    pub(super) container: Option<String>,
    pub(super) tags: Vec<(String, Expected)>,
}

impl Filter {
    pub(super) fn needs_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    pub(super) fn needs_own_tags(&self) -> bool {
        self.tags.iter().any(|(_, wanted)| *wanted == Expected::Mine)
    }

    pub(super) fn needs_own_digest(&self) -> bool {
        self.image == Some(Expected::Mine)
    }

    pub(super) fn needs_own_task(&self) -> bool {
        self.revision == Some(Expected::Mine) || self.needs_own_digest() || self.needs_own_tags()
    }

    /// The filter with "mine" replaced by the own task's values.
    ///
    /// # Errors
    /// If the own task lacks a value.
    pub(super) fn as_of(&self, own: &Own<'_>) -> Result<Self, StrategyError> {
        let mine = |wanted: &Expected, value: Option<String>, what: &str| match (wanted, value) {
            (Expected::This(value), _) => Ok(Expected::This(value.clone())),
            (Expected::Mine, Some(value)) => Ok(Expected::This(value)),
            (Expected::Mine, None) => {
                Err(StrategyError::NotFound { what: format!("{what} of this task ({})", own.task.arn) })
            }
        };
        let tag = |key: &str| own.tags.iter().flatten().find(|(found, _)| found == key).map(|(_, value)| value.clone());
        let tags =
            self.tags.iter().map(|(key, wanted)| Ok((key.clone(), mine(wanted, tag(key), &format!("tag {key}"))?)));
        Ok(Self {
            revision: self.revision.as_ref().map(|it| mine(it, Some(own.task.definition()), "revision")).transpose()?,
            image: self.image.as_ref().map(|it| mine(it, own.digest.clone(), "image digest")).transpose()?,
            container: match (&self.container, &self.image) {
                (None, Some(Expected::Mine)) => Some(own.task.container.clone()),
                (container, _) => container.clone(),
            },
            tags: tags.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn accepts(&self, task: &Task) -> bool {
        self.revision.as_ref().is_none_or(|wanted| self.is_revision(task, wanted))
            && self.image.as_ref().is_none_or(|wanted| self.is_image(task, wanted))
            && self.tags.iter().all(|(key, wanted)| {
                let has = |(found, value): &(String, String)| found == key && Expected::This(value.clone()) == *wanted;
                tags(task).iter().any(has)
            })
    }

    fn is_revision(&self, task: &Task, wanted: &Expected) -> bool {
        let (Some((family, revision)), Expected::This(wanted)) = (definition(task), wanted) else {
            return false;
        };
        match last(wanted).and_then(|wanted| wanted.rsplit_once(':')) {
            Some(wanted) => wanted == (family, revision),
            None => wanted == revision,
        }
    }

    fn is_image(&self, task: &Task, wanted: &Expected) -> bool {
        let Expected::This(wanted) = wanted else {
            return false;
        };
        let counts = |name: Option<&str>| self.container.as_deref().is_none_or(|container| name == Some(container));
        let mut containers = task.containers().iter().filter(|container| counts(container.name()));
        containers.any(|it| it.image_digest() == Some(wanted) || it.image() == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, Container, KeyValuePair, NetworkInterface, Tag};

    use super::*;

    fn task() -> aws_sdk_ecs::types::builders::TaskBuilder {
        let detail = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
        Task::builder()
            .task_arn("arn:aws:ecs:eu-west-1:1:task/prod/0123")
            .task_definition_arn("arn:aws:ecs:eu-west-1:1:task-definition/web:7")
            .last_status("RUNNING")
            .desired_status("RUNNING")
            .group("service:front")
            .availability_zone("eu-west-1a")
            .tags(Tag::builder().key("csrelease").value("abc").build())
            .containers(Container::builder().name("log").image_digest("sha256:log").image("log:1").build())
            .containers(Container::builder().name("app").image_digest("sha256:app").image("app:latest").build())
            .attachments(
                Attachment::builder()
                    .r#type("ElasticNetworkInterface")
                    .status("ATTACHED")
                    .details(detail("privateIPv4Address", "10.0.0.9"))
                    .details(detail("privateDnsName", "ip-10-0-0-9.ec2.internal"))
                    .build(),
            )
    }

    #[test]
    fn only_what_runs_and_is_to_run_is_in_service() {
        assert!(is_in_service(&task().build()));
        for status in
            ["PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", ""]
        {
            assert!(!is_in_service(&task().last_status(status).build()), "{status}");
        }
        assert!(!is_in_service(&task().desired_status("STOPPED").build()));
        assert!(!is_in_service(&task().set_desired_status(None).build()));
        for (last, desired, ending) in [
            ("RUNNING", "STOPPED", true),
            ("DEACTIVATING", "RUNNING", true),
            ("STOPPED", "STOPPED", true),
            ("PENDING", "RUNNING", false),
            ("RUNNING", "RUNNING", false),
        ] {
            assert_eq!(
                is_ending(&task().last_status(last).desired_status(desired).build()),
                ending,
                "{last} {desired}"
            );
        }
    }

    #[test]
    fn variables() {
        let described = task().build();
        for (variable, found) in [
            ("private_ip", Some("10.0.0.9")),
            ("private_dns", Some("ip-10-0-0-9.ec2.internal")),
            ("ipv6", None),
            ("task_id", Some("0123")),
            ("family", Some("web")),
            ("revision", Some("7")),
            ("service", Some("front")),
            ("availability_zone", Some("eu-west-1a")),
            ("tag:csrelease", Some("abc")),
            ("tag:other", None),
        ] {
            assert_eq!(value(&described, variable).as_deref(), found, "{variable}");
        }
        assert_eq!(value(&task().group("family:web").build(), "service"), None);
    }

    #[test]
    fn an_interface_that_is_being_detached_does_not_count_but_that_of_a_container_does() {
        let mut leaving = task().build();
        leaving.attachments.as_mut().unwrap()[0].status = Some("DETACHING".into());
        assert_eq!(value(&leaving, "private_ip"), None);
        let interface = NetworkInterface::builder().private_ipv4_address("10.0.0.8").build();
        leaving.containers.as_mut().unwrap()[1].network_interfaces = Some(vec![interface]);
        assert_eq!(value(&leaving, "private_ip").as_deref(), Some("10.0.0.8"));
    }

    #[test]
    fn filters() {
        let accepts = |revision: Option<&str>, image: Option<&str>, container: Option<&str>, tag: Option<&str>| {
            Filter {
                revision: revision.map(|text| Expected::parse("revision", text).unwrap()),
                image: image.map(|text| Expected::parse("image", text).unwrap()),
                container: container.map(str::to_owned),
                tags: tag.map(|text| Expected::parse_keyed("tag", text).unwrap()).into_iter().collect(),
            }
            .accepts(&task().build())
        };
        assert!(accepts(None, None, None, None));
        for (revision, is) in [
            ("7", true),
            ("web:7", true),
            ("arn:x:task-definition/web:7", true),
            ("app:7", false),
            ("8", false),
            ("@mine", false),
        ] {
            assert_eq!(accepts(Some(revision), None, None, None), is, "{revision}");
        }
        for (image, container, is) in [
            ("sha256:app", None, true),
            ("app:latest", None, true),
            ("sha256:app", Some("app"), true),
            ("sha256:app", Some("log"), false),
            ("sha256:other", None, false),
            ("@mine", None, false),
        ] {
            assert_eq!(accepts(None, Some(image), container, None), is, "{image} {container:?}");
        }
        assert!(accepts(None, None, None, Some("csrelease=abc")));
        assert!(!accepts(None, None, None, Some("csrelease=ab")));
        assert!(!accepts(None, None, None, Some("csrelease")));
    }
}
