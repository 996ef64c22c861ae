"""Feature gates Kubernetes had until 1.36 and 1.37 no longer has, with what is permanent now.

A gate goes some releases after its feature is settled; naming it is fatal from then on. The tables hold the gates
that were locked or generally available in pkg/features of 1.22, 1.25, 1.28, 1.31, 1.34 and 1.36 and that kube-
apiserver 1.37.2 calls unrecognized. The number is a minor version in which the feature was settled already: a binary
of that version or a later one that does not know the gate behaves as if it had the permanent value. Others (dropped
while alpha, say) are not in here: what became of them can't be told from their name.
"""

from __future__ import annotations

_ALWAYS_ON = {
    22: """
        AdvancedAuditing AllowInsecureBackendProxy BoundServiceAccountTokenVolume CSIServiceAccountToken
        CronJobControllerV2 DryRun EndpointSlice EndpointSliceNodeName EndpointSliceProxying
        HugePageStorageMediumSize ImmutableEphemeralVolumes NamespaceDefaultLabelName NodeLease PodDisruptionBudget
        RuntimeClass ServerSideApply ServiceAccountIssuerDiscovery SetHostnameAsFQDN StartupProbe
        StorageObjectInUseProtection SupportNodePidsLimit SupportPodPidsLimit Sysctls VolumeSubpath WarningHeaders
        WindowsEndpointSliceProxying
    """,
    25: """
        CSIInlineVolume CSIMigration CSIMigrationAWS CSIMigrationAzureDisk CSIMigrationGCE CSIMigrationOpenStack
        CSIStorageCapacity CSRDuration ControllerManagerLeaderMigration DaemonSetUpdateSurge
        DefaultPodTopologySpread DisableAcceleratorUsageMetrics EphemeralContainers ExpandCSIVolumes
        ExpandInUsePersistentVolumes ExpandPersistentVolumes IdentifyPodOS IndexedJob LocalStorageCapacityIsolation
        NetworkPolicyEndPort NonPreemptingPriority PodAffinityNamespaceSelector PodOverhead PodSecurity
        PreferNominatedNode ServiceLBNodePortControl ServiceLoadBalancerClass StatefulSetMinReadySeconds SuspendJob
    """,
    28: """
        APISelfSubjectReview CPUManager CSIMigrationAzureFile CSIMigrationvSphere ConsistentHTTPGetHandlers
        CronJobTimeZone DownwardAPIHugePages ExpandedDNSConfig GRPCContainerProbe IPTablesOwnershipCleanup
        JobMutableNodeSchedulingDirectives JobTrackingWithFinalizers KubeletPodResources
        KubeletPodResourcesGetAllocatable LegacyServiceAccountTokenNoAutoGeneration
        LegacyServiceAccountTokenTracking MinimizeIPTablesRestore NodeOutOfServiceVolumeDetach OpenAPIV3
        ProbeTerminationGracePeriod ProxyTerminatingEndpoints RetroactiveDefaultStorageClass SeccompDefault
        ServerSideFieldValidation TopologyManager
    """,
    31: """
        APIListChunking AdmissionWebhookMatchConditions AggregatedDiscoveryEndpoint AppArmor AppArmorFields
        CloudDualStackNodeIPs DevicePluginCDIDevices DisableCloudProviders DisableKubeletCloudCredentialProviders
        EfficientWatchResumption ElasticIndexedJob HPAContainerMetrics JobPodFailurePolicy KMSv2 KMSv2KDF
        KubeProxyDrainingTerminatingNodes LegacyServiceAccountTokenCleanUp LogarithmicScaleDown
        MinDomainsInPodTopologySpread NewVolumeManagerReconstruction PDBUnhealthyPodEvictionPolicy
        PersistentVolumeLastPhaseTransitionTime PodDisruptionConditions PodHostIPs RemainingItemCount
        StableLoadBalancerNodeSet StatefulSetStartOrdinal ValidatingAdmissionPolicy WatchBookmark
        ZeroLimitedNominalConcurrencyShares
    """,
    32: """
        ComponentSLIs CronJobsScheduledAnnotation LoadBalancerIPMode MemoryManager PodIndexLabel RetryGenerateName
        SizeMemoryBackedVolumes StatefulSetAutoDeletePVC StrictCostEnforcementForVAP
        StrictCostEnforcementForWebhooks StructuredAuthorizationConfiguration
    """,
    33: """
        AnyVolumeDataSource BtreeWatchCache CSIMigrationPortworx HonorPVReclaimPolicy JobBackoffLimitPerIndex
        JobSuccessPolicy ServiceTrafficDistribution SidecarContainers TopologyAwareHints
    """,
    34: """
        APIServerTracing AnonymousAuthConfigurableEndpoints AuthorizeNodeWithSelectors AuthorizeWithSelectors
        ConsistentListFromCache JobPodReplacementPolicy OrderedNamespaceDeletion PodLifecycleSleepAction
        PodLifecycleSleepActionAllowZero ProbeHostPodSecurityStandards RelaxedDNSSearchValidation
        ResilientWatchCacheInitialization SchedulerQueueingHints StreamingCollectionEncodingToJSON
        StreamingCollectionEncodingToProtobuf StructuredAuthenticationConfiguration
    """,
    36: """
        CPUCFSQuotaPeriod
    """,
}

_ALWAYS_OFF = {
    28: """
        ExperimentalHostUserNamespaceDefaultingGate
    """,
    32: """
        AllowServiceLBStatusOnNonLB
    """,
    33: """
        WatchFromStorageWithoutResourceVersion
    """,
}

PERMANENT: dict[str, tuple[bool, int]] = {
    **{name: (True, minor) for minor, names in _ALWAYS_ON.items() for name in names.split()},
    **{name: (False, minor) for minor, names in _ALWAYS_OFF.items() for name in names.split()},
}
"""Gate to its permanent value and the minor version of Kubernetes 1 it has had it since, or earlier."""
