# A network of our own, unless vpc_id and subnet_ids name an existing one. Ours has public subnets without a NAT gateway:
# each running task has a public address ($0.005 an hour) but accepts no inbound connection. A NAT gateway would cost
# more in a month than a whole data set.

locals {
  own_network = var.vpc_id == null
  vpc_id      = one(concat(aws_vpc.tasks[*].id, compact([var.vpc_id])))
  subnet_ids  = local.own_network ? [for subnet in aws_subnet.tasks : subnet.id] : var.subnet_ids
}

resource "aws_vpc" "tasks" {
  #checkov:skip=CKV2_AWS_11:No flow logs: nothing listens in this network, and S3 and ECS calls are in CloudTrail.
  count = local.own_network ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Spot capacity differs by zone, so tasks can start in any of these zones.
resource "aws_subnet" "tasks" {
  for_each = { for index, letter in var.zones : "${var.region}${letter}" => index if local.own_network }

  vpc_id            = local.vpc_id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 2, each.value)

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_internet_gateway" "tasks" {
  count = local.own_network ? 1 : 0

  vpc_id = local.vpc_id

  tags = { Name = var.name }
}

resource "aws_route_table" "tasks" {
  count = local.own_network ? 1 : 0

  vpc_id = local.vpc_id

  tags = { Name = var.name }
}

resource "aws_route" "internet" {
  count = local.own_network ? 1 : 0

  route_table_id         = aws_route_table.tasks[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.tasks[0].id
}

resource "aws_route_table_association" "tasks" {
  for_each = aws_subnet.tasks

  subnet_id      = each.value.id
  route_table_id = aws_route_table.tasks[0].id
}

# Free, and keeps S3 traffic inside Amazon's network. Its policy allows everything, because ECR's layers also come from
# AWS-owned buckets; the roles restrict access. An existing network has its own way to S3.
resource "aws_vpc_endpoint" "s3" {
  count = local.own_network ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.tasks[*].id

  tags = { Name = "${var.name}-s3" }
}

# AWS's default security group allows traffic among its members; without rules, it allows none.
resource "aws_default_security_group" "unused" {
  count = local.own_network ? 1 : 0

  vpc_id = local.vpc_id
}

resource "aws_security_group" "tasks" {
  #checkov:skip=CKV2_AWS_5:RunTask attaches it; Airflow takes the id from its environment.
  name        = "${var.name}-tasks"
  description = "No ingress; HTTPS out to S3, ECR, CloudWatch and Secrets Manager"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "tasks_https" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS to AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
