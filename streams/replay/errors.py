"""What a rebuild raises. Whatever it is, the features in use are whole: the old ones, or the new.

ReplayError
├── NoSuchTopic        the tenant has no raw topic
├── StartAhead         the start lies ahead of the clock
├── ReplayRunning      somebody else rebuilds the tenant's features now
├── ReplayLost         somebody else has ended this rebuild
├── RecordsGone        Kafka dropped records before they were read
├── UserErased         a user was erased meanwhile, whose features the shadow still has
└── AlwaysBehind       the tenant's events come faster than they are rebuilt
"""


class ReplayError(Exception):
    """A rebuild ended. Its message is one sentence that says what to do."""


class NoSuchTopic(ReplayError):
    def __init__(self, tenant: str, topic: str) -> None:
        super().__init__(f"there is no topic {topic}: {tenant} has sent nothing yet, or has another name")
        self.tenant = tenant


class StartAhead(ReplayError):
    def __init__(self, since: str) -> None:
        super().__init__(f"{since} lies ahead: name a moment that is past")


class ReplayRunning(ReplayError):
    def __init__(self, tenant: str, owner: str) -> None:
        super().__init__(f"the features of {tenant} are being rebuilt by {owner}: wait for it, or end it with --abort")
        self.tenant = tenant
        self.owner = owner


class ReplayLost(ReplayError):
    def __init__(self, tenant: str) -> None:
        super().__init__(f"somebody else ended this rebuild of {tenant}: run it again")
        self.tenant = tenant


class RecordsGone(ReplayError):
    def __init__(self, topic: str) -> None:
        super().__init__(f"Kafka dropped records of {topic} before they were read (its retention): run it again")
        self.topic = topic


class UserErased(ReplayError):
    def __init__(self, tenant: str) -> None:
        super().__init__(f"a user of {tenant} was erased while the features were rebuilt: run it again")
        self.tenant = tenant


class AlwaysBehind(ReplayError):
    def __init__(self, tenant: str, records: int) -> None:
        super().__init__(
            f"the events of {tenant} come faster than they are rebuilt ({records:,} records behind): "
            "run it again when less comes in"
        )
        self.tenant = tenant
        self.records = records
