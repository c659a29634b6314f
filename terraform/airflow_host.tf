# Optional EC2 instance for airflow-docker-compose.yaml. It has no SSH key and no open port. Shell and Airflow's web page
# are available through SSM (terraform output airflow_host).

locals {
  hosts = var.airflow_host ? toset(["airflow"]) : toset([])

  # Graviton families have a g after their generation: t4g, m7g, c7gn.
  host_architecture = can(regex("^[a-z]+[0-9]+g", var.airflow_instance_type)) ? "arm64" : "amd64"
}

data "aws_ssm_parameter" "ubuntu" {
  for_each = local.hosts

  name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/${local.host_architecture}/hvm/ebs-gp3/ami-id"
}

resource "aws_security_group" "airflow" {
  for_each = local.hosts

  name        = "${var.name}-airflow"
  description = "No ingress; HTTPS out, and HTTP to the signed packages of Ubuntu"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "airflow" {
  for_each = { for port in [80, 443] : port => port if var.airflow_host }

  security_group_id = aws_security_group.airflow["airflow"].id
  description       = each.value == 443 ? "HTTPS" : "Ubuntu packages"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_iam_instance_profile" "airflow" {
  for_each = local.hosts

  name = "${var.name}-airflow"
  role = aws_iam_role.vitalprep["airflow"].name
}

resource "aws_instance" "airflow" {
  #checkov:skip=CKV_AWS_88:Without a NAT gateway, the instance needs a public address to reach SSM; no port is open.
  #checkov:skip=CKV_AWS_126:Metrics every five minutes suffice for a mostly idle host.
  for_each = local.hosts

  ami                         = data.aws_ssm_parameter.ubuntu[each.key].insecure_value
  instance_type               = var.airflow_instance_type
  subnet_id                   = local.subnet_ids[0]
  vpc_security_group_ids      = [aws_security_group.airflow[each.key].id]
  iam_instance_profile        = aws_iam_instance_profile.airflow[each.key].name
  associate_public_ip_address = var.assign_public_ip
  ebs_optimized               = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2 # containers fetch the role's credentials over one extra hop
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.airflow_disk_gib
    encrypted   = true
    kms_key_id  = var.kms_key_arn
    tags        = local.tags # default_tags end at the instance
  }

  # Ubuntu's own packages, whose signatures apt checks. The image includes the SSM agent.
  user_data = <<-EOT
    #!/bin/bash
    set -euo pipefail
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends docker.io docker-compose-v2 amazon-ecr-credential-helper git make
    install -d -m 700 /root/.docker
    echo '{"credHelpers": {"${split("/", aws_ecr_repository.images["airflow"].repository_url)[0]}": "ecr-login"}}' \
      >/root/.docker/config.json
    systemctl enable --now docker
  EOT

  tags = { Name = "${var.name}-airflow" }

  lifecycle {
    ignore_changes = [ami] # a newer Ubuntu image must not replace the host, which holds Airflow's database
  }
}
