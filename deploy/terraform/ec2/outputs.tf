output "security_group_id" {
  description = "The security group of members; other nodes of the cluster need it, too."
  value       = aws_security_group.members.id
}

output "group_name" {
  description = "The auto scaling group."
  value       = aws_autoscaling_group.workers.name
}

output "role_name" {
  description = "The role of the instances."
  value       = aws_iam_role.worker.name
}

output "page_address" {
  description = "The load balancer's address, to which the name of page_url is an alias."
  value       = one(aws_lb.page[*].dns_name)
}
