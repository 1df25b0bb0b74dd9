//! The instances of an auto scaling group are found as it grows and shrinks.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use peerl_discovery::{Peers, StrategyError};
use peerl_test_support::{Fault, Times};

mod fleet;
use fleet::{Fleet, nodes};

struct Group {
    fleet: Fleet,
    client: Client,
}

impl Group {
    async fn new(name: &str, size: i32) -> Self {
        let fleet = Fleet::new().await;
        let data = RequestLaunchTemplateData::builder().image_id("ami-12c6146b").build();
        let template = fleet.ec2.create_launch_template().launch_template_name("worker").launch_template_data(data);
        template.send().await.unwrap();
        let group = Self { client: Client::new(&fleet.config), fleet };
        group.create(name, size).await;
        group
    }

    async fn create(&self, name: &str, size: i32) {
        let template = LaunchTemplateSpecification::builder().launch_template_name("worker").version("$Latest").build();
        let group = self.client.create_auto_scaling_group().auto_scaling_group_name(name).launch_template(template);
        let group = group.min_size(0).max_size(50).desired_capacity(size).availability_zones("eu-central-1a");
        group.send().await.unwrap();
    }

    async fn resize(&self, name: &str, size: i32) {
        let request = self.client.set_desired_capacity().auto_scaling_group_name(name).desired_capacity(size);
        request.send().await.unwrap();
    }

    /// The ids of the group's members, in whatever state.
    async fn members(&self, name: &str) -> Vec<String> {
        let request = self.client.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let answer = request.send().await.unwrap();
        let members = answer.auto_scaling_groups()[0].instances().iter();
        members.map(|member| member.instance_id().unwrap().to_owned()).collect()
    }

    /// The nodes on these instances.
    async fn nodes(&self, ids: &[String]) -> Peers {
        let answer = self.fleet.ec2.describe_instances().set_instance_ids(Some(ids.to_vec())).send().await.unwrap();
        nodes(answer.reservations().iter().flat_map(|reservation| reservation.instances()))
    }
}

#[tokio::test]
async fn a_group_grows_and_shrinks() {
    let group = Group::new("web", 3).await;
    group.create("other", 4).await;
    let strategy = group.fleet.strategy("asg:web");
    let mut seen = Vec::new();
    for size in [3, 7, 2] {
        group.resize("web", size).await;
        let members = group.members("web").await;
        assert_eq!(members.len(), size as usize);
        assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await, "{size}");
        seen.extend(members);
    }
    group.resize("web", 0).await;
    assert_eq!(strategy.discover().await.unwrap(), Peers::new());
    assert_eq!(group.fleet.find("asg:other").await.unwrap().len(), 4);
}

#[tokio::test]
async fn those_on_standby_are_left_alone() {
    let group = Group::new("web", 3).await;
    let members = group.members("web").await;
    let standby = group.client.enter_standby().auto_scaling_group_name("web").instance_ids(&members[0]);
    standby.should_decrement_desired_capacity(true).send().await.unwrap();
    let strategy = group.fleet.strategy("asg:group=web,host=private-dns");
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members[1..]).await);
    let back = group.client.exit_standby().auto_scaling_group_name("web").instance_ids(&members[0]);
    back.send().await.unwrap();
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);
    // A member that dies before its group has noticed.
    group.fleet.ec2.stop_instances().instance_ids(&members[0]).send().await.unwrap();
    assert!(!strategy.discover().await.unwrap().is_superset(&group.nodes(&members[..1]).await));
}

#[tokio::test]
async fn my_own_group() {
    let group = Group::new("web", 3).await;
    let members = group.members("web").await;
    group.fleet.metadata.set("instance-id", &members[1]);
    let strategy = group.fleet.strategy("asg");
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);
    assert_eq!(group.fleet.find("ec2:asg=web").await.unwrap(), group.nodes(&members).await);

    for action in ["DescribeAutoScalingGroups", "DescribeInstances"] {
        group.fleet.proxy.fail(action, Fault::AccessDenied, Times::Next(1));
        match strategy.discover().await {
            Err(StrategyError::AccessDenied { action: denied, .. }) => assert!(denied.ends_with(action), "{denied}"),
            other => panic!("{other:?}"),
        }
    }
    group.fleet.proxy.fail("DescribeAutoScalingGroups", Fault::CutContent, Times::Next(1));
    assert!(matches!(strategy.discover().await, Err(StrategyError::Malformed { .. })));
    group.fleet.proxy.fail("DescribeAutoScalingGroups", Fault::Throttle, Times::Next(2));
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);

    match group.fleet.find("asg:none").await {
        Err(StrategyError::NotFound { what }) => assert!(what.contains("\"none\""), "{what}"),
        other => panic!("{other:?}"),
    }
    let lonely = group.fleet.launch(1, &[("Name", "lonely")]).await;
    group.fleet.metadata.set("instance-id", lonely[0].instance_id().unwrap());
    let metadata = fleet::client(&group.fleet.metadata);
    let access = peerl_discovery::aws::Access::new(fleet::config_of_peerl(&group.fleet.proxy), metadata);
    assert!(matches!(fleet::strategy("asg", &access).discover().await, Err(StrategyError::NotFound { .. })));
}
