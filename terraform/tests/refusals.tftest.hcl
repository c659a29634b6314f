# Values that AWS would refuse only after half of the deployment is made, or that would be unsafe.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "refuses_unusable_values" {
  command = plan

  variables {
    region                  = "eu-north-1a"
    name                    = "Vital_Prep"
    tags                    = { "aws:owner" = "us" }
    raw_bucket              = "s3://bucket"
    raw_prefix              = ""
    harmonized_days         = 1
    noncurrent_days         = 0
    kms_key_arn             = "alias/ours"
    raw_kms_key_arn         = "alias/theirs"
    image                   = "latest"
    cpu_architecture        = "arm64"
    worker_size             = { cpu = 2048, memory = 2048 }
    builder_size            = { cpu = 3000, memory = 8192 }
    runner_size             = { cpu = 8192, memory = 8192 }
    runner_disk_gib         = 20
    subject_salt_secret_arn = "hunter2hunter2"
    log_days                = 100
    batch_max_vcpus         = 0.5
    vpc_cidr                = "10.0.0.0/28"
    zones                   = ["a", "a"]
    alarm_email             = "team"
    budget_usd              = 0
    airflow_instance_type   = "medium"
    airflow_disk_gib        = 8
    airflow_trusted_arns    = ["arn:aws:iam::111122223333:root"]

    permissions_boundary_arn = "boundary"
  }

  expect_failures = [
    var.region, var.name, var.raw_bucket, var.raw_prefix, var.harmonized_days, var.noncurrent_days, var.kms_key_arn,
    var.raw_kms_key_arn, var.image, var.cpu_architecture, var.worker_size, var.builder_size,
    var.subject_salt_secret_arn, var.batch_max_vcpus, var.log_days, var.vpc_cidr, var.zones, var.alarm_email, var.budget_usd,
    var.airflow_instance_type, var.airflow_disk_gib, var.airflow_trusted_arns,
    var.runner_size, var.runner_disk_gib, var.tags, var.permissions_boundary_arn,
  ]
}

run "refuses_names_for_ids" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    vpc_id      = "vpc-0123456789abcdef0"
    subnet_ids  = ["private-a"]
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_a_network_by_name" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    vpc_id      = "ours"
    subnet_ids  = ["subnet-0123456789abcdef0"]
  }

  expect_failures = [var.vpc_id]
}

run "refuses_a_network_without_subnets" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    vpc_id      = "vpc-0123456789abcdef0"
  }

  expect_failures = [var.vpc_id]
}

run "refuses_subnets_without_their_network" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    subnet_ids  = ["subnet-0123456789abcdef0"]
  }

  expect_failures = [var.vpc_id]
}

run "refuses_its_own_network_without_public_addresses" {
  command = plan

  variables {
    alarm_email      = "team@example.org"
    assign_public_ip = false
  }

  expect_failures = [var.assign_public_ip]
}

run "refuses_a_bucket_that_lists_in_no_order" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    raw_bucket  = "recordings--eun1-az1--x-s3"
  }

  expect_failures = [var.raw_bucket]
}
