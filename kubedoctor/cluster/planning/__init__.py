"""The steps from wishes to a plan; see `kubedoctor.cluster.plan`."""
