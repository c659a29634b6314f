# Everything that can be asked for, in another region.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "with_everything" {
  variables {
    name                    = "ward"
    region                  = "eu-central-1"
    zones                   = ["a", "b"]
    raw_bucket              = "hospital-recordings"
    raw_prefix              = "vitaldb/raw"
    raw_kms_key_arn         = "arn:aws:kms:eu-central-1:111122223333:key/raw"
    kms_key_arn             = "arn:aws:kms:eu-central-1:111122223333:key/ours"
    image                   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    cpu_architecture        = "ARM64"
    harmonized_days         = 0
    subject_salt_secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:salt-AbCdEf"
    batch                   = true
    airflow_host            = true
    airflow_instance_type   = "t4g.medium"
    airflow_trusted_arns    = ["arn:aws:iam::111122223333:role/mwaa"]
  }
  # The budget's alarm has no address here, and says so.
  expect_failures = [check.someone_is_told]

  assert {
    condition     = keys(aws_s3_bucket.data) == ["output"] && output.environment.VITALPREP_INPUT == "s3://hospital-recordings/vitaldb/raw"
    error_message = "An existing raw bucket is read and not managed."
  }
  assert {
    condition = anytrue([
      for statement in local.documents.harmonize.statement :
      statement.resources == toset(["arn:aws:s3:::hospital-recordings/vitaldb/raw/*"]) && statement.actions == toset(["s3:GetObject"])
    ])
    error_message = "The right to read ends at the folder of the recordings."
  }
  assert {
    condition = alltrue([
      for statement in local.documents.use_keys.statement :
      !contains(statement.actions, "kms:GenerateDataKey") || statement.resources == toset([var.kms_key_arn])
    ])
    error_message = "Nothing is written with the raw bucket's key."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.data["output"].rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "The key that is named encrypts the output."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.data["output"].rule : try(rule.expiration[0].days, 0) == 0])
    error_message = "harmonized_days = 0 keeps tables for good."
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.tasks :
      task.runtime_platform[0].cpu_architecture == "ARM64" && strcontains(task.container_definitions, "@sha256:aaaa")
    ])
    error_message = "Architecture and digest reach the task definitions."
  }
  assert {
    condition = (
      { for name, one in aws_batch_compute_environment.tasks : name => one.compute_resources[0].type } ==
      { spot = "FARGATE_SPOT", on-demand = "FARGATE" }
    )
    error_message = "Shards have a queue on spot capacity, all else one on demand."
  }
  assert {
    condition = alltrue([
      for job in aws_batch_job_definition.tasks :
      job.platform_capabilities == toset(["FARGATE"]) && strcontains(job.container_properties, "ARM64") && strcontains(job.container_properties, "@sha256:aaaa")
    ])
    error_message = "Batch's jobs are the tasks that ECS runs."
  }
  assert {
    condition = (
      strcontains(aws_batch_job_definition.tasks["builder"].container_properties, "VITALPREP_SUBJECT_SALT") &&
      !strcontains(aws_batch_job_definition.tasks["worker"].container_properties, "VITALPREP_SUBJECT_SALT")
    )
    error_message = "Only the builder's job gets the salt."
  }
  assert {
    condition     = contains(local.grants.airflow, "run_jobs") && output.environment.VITALPREP_BACKEND == "batch"
    error_message = "Airflow may submit jobs, and does."
  }
  assert {
    condition     = output.platform == "linux/arm64" && output.environment.VITALPREP_ECS_CPU_ARCHITECTURE == "ARM64"
    error_message = "The image is built, and priced, for the architecture that tasks run on."
  }
  assert {
    condition = (
      strcontains(aws_ecs_task_definition.tasks["builder"].container_definitions, "VITALPREP_SUBJECT_SALT") &&
      strcontains(aws_ecs_task_definition.tasks["runner"].container_definitions, "VITALPREP_SUBJECT_SALT") &&
      !strcontains(aws_ecs_task_definition.tasks["worker"].container_definitions, "VITALPREP_SUBJECT_SALT")
    )
    error_message = "Who writes subject ids gets the salt, and nobody else."
  }
  assert {
    condition = alltrue([
      for host in aws_instance.airflow :
      host.metadata_options[0].http_tokens == "required" && host.root_block_device[0].encrypted
    ])
    error_message = "The host: credentials by IMDSv2 only, encrypted disk."
  }
  assert {
    condition     = strcontains(data.aws_ssm_parameter.ubuntu["airflow"].name, "arm64")
    error_message = "A Graviton host gets an arm64 image."
  }
  assert {
    condition     = alltrue([for group in aws_security_group.airflow : length(group.ingress) == 0])
    error_message = "The host lets nothing in; SSM is the way."
  }
  assert {
    condition = alltrue([
      for text in concat(
        [for group in concat([aws_security_group.tasks], values(aws_security_group.airflow)) : group.description],
        [for rule in concat([aws_vpc_security_group_egress_rule.tasks_https], values(aws_vpc_security_group_egress_rule.airflow)) : rule.description],
      ) : can(regex("^[a-zA-Z0-9. _:/()#,@\\[\\]+=&;{}!$*-]{1,255}$", text))
    ])
    error_message = "EC2 refuses other characters in descriptions of security groups and rules, such as an apostrophe."
  }
  assert {
    condition     = alltrue(flatten([for task in aws_ecs_task_definition.tasks : [for value in values(task.tags) : can(regex("^[a-zA-Z0-9 +=._:/@-]*$", value))]]))
    error_message = "ECS refuses other characters in tags, such as a comma."
  }
  assert {
    condition     = contains(local.grants.airflow, "open_session") && !contains(local.grants.airflow, "harmonize")
    error_message = "The host can be reached through SSM, and reads no recordings."
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.trust["airflow"].statement :
      one(statement.principals).identifiers == toset(var.airflow_trusted_arns)
    ])
    error_message = "Who is trusted may take Airflow's role."
  }
}
