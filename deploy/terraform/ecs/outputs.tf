output "security_group_id" {
  description = "The security group of members; other nodes of the cluster need it, too."
  value       = aws_security_group.members.id
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.worker.name
}

output "discovery_name" {
  description = "The name whose DNS records are the workers' addresses."
  value       = "worker.${var.namespace}"
}

output "page_address" {
  description = "The load balancer's address, to which the name of page_url is an alias."
  value       = one(aws_lb.page[*].dns_name)
}
